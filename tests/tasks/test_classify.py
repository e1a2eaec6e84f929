"""Cross-entropy as it is defined, smoothed, weighted and judged."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from sortal.errors import InputError
from sortal.tasks import Classify, class_weights


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    return {
        "inputs": torch.randn(7, 4, generator=generator),
        "labels": torch.tensor([0, 1, 2, 2, 1, 0, 0]),
    }


def test_smoothing_is_the_formula_of_the_paper(batch):
    net, q = nn.Linear(4, 3), 0.1
    log_p = net(batch["inputs"]).log_softmax(1)
    target = (1 - q) * torch.eye(3)[batch["labels"]] + q / 3
    answer = Classify(label_smoothing=q).loss(net, batch)
    torch.testing.assert_close(answer.loss, -(target * log_p).sum(1).mean())
    assert answer.n == 7
    assert int(answer.right) == int((log_p.argmax(1) == batch["labels"]).sum())


def test_judging_knows_no_smoothing_and_no_weights(batch):
    net = nn.Linear(4, 3)
    plain = Classify().loss(net, batch).loss
    task = Classify(label_smoothing=0.3, weights=torch.tensor([5.0, 1.0, 1.0]))
    assert torch.equal(task.judge(net, batch).loss, plain)
    assert not torch.equal(task.loss(net, batch).loss, plain)


def test_weights_are_those_of_scikit_learn():
    labels = np.array([0] * 50 + [1] * 9 + [2])
    wanted = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(class_weights(torch.from_numpy(labels), 3), wanted, rtol=1e-6)
    assert class_weights(torch.from_numpy(labels), 4)[3] == 0  # a name without items


def test_smoothing_all_certainty_away_is_refused():
    with pytest.raises(InputError, match=r"label_smoothing must lie in \[0, 1\); got 1"):
        Classify(label_smoothing=1)
