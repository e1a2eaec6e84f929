"""NT-Xent as its paper writes it."""

import math

import pytest
import torch
from torch import nn

from sortal.errors import InputError
from sortal.tasks import Contrast
from sortal.tasks.contrast import nt_xent


def drawn(n, d=6):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("pairs", [1, 2, 7])
def test_it_is_the_formula_of_the_paper(pairs):
    z, temperature = drawn(2 * pairs), 0.3
    losses = []
    for i in range(2 * pairs):
        like = [math.exp(torch.cosine_similarity(z[i], other, dim=0) / temperature) for other in z]
        partner = (i + pairs) % (2 * pairs)
        losses.append(-math.log(like[partner] / (sum(like) - like[i])))
    answer = nt_xent(z, temperature)
    assert float(answer.loss) == pytest.approx(sum(losses) / len(losses), abs=1e-5)  # float32
    assert answer.n == 2 * pairs


def test_right_is_who_is_nearest_to_its_partner():
    z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1], [1.0, 0.2]])  # 0 with 2; 1 is far from 3
    assert int(nt_xent(z, 0.5).right) == 2


def test_the_length_of_a_projection_does_not_count():
    z = drawn(8)
    torch.testing.assert_close(nt_xent(z, 0.3).loss, nt_xent(z * torch.arange(1.0, 9)[:, None], 0.3).loss)


def test_half_precision_around_it_takes_nothing_from_the_cosines():
    z = torch.cat([drawn(4), drawn(4) + 0.01])
    with torch.autocast("cpu", torch.bfloat16):
        found = nt_xent(z, 0.1)
    assert torch.equal(found.loss, nt_xent(z, 0.1).loss)


def test_a_batch_is_inputs_and_their_positives():
    net, a, b = nn.Linear(6, 3), drawn(4), drawn(4) + 0.1
    task = Contrast(temperature=0.2)
    answer = task.loss(net, {"inputs": a, "positives": b})
    torch.testing.assert_close(answer.loss, nt_xent(net(torch.cat([a, b])), 0.2).loss)
    assert task.as_json() == {"task": "contrast", "temperature": 0.2}
    assert task.score(2.0, 0.9) == -2.0


def test_a_temperature_must_be_above_0():
    with pytest.raises(InputError, match="above 0"):
        Contrast(temperature=0)
