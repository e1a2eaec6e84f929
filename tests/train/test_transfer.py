"""The protocol on stripes: what is right, what is kept, what is said."""

import numpy as np
import pytest

from sortal.nets.network import drawn
from sortal.nets.resnet_small import SmallResNet
from sortal.progress import Progress
from sortal.train.augment import Augment
from sortal.train.device import choose_device
from sortal.train.normalize import Normalize
from sortal.train.transfer import transfer
from sortal.train.ways import Course, from_scratch

from .tiny import stripes

CPU = choose_device("cpu")
COURSE = Course(epochs=2, normalize=Normalize((0.5,), (0.3,)), augment=Augment(shift=1))


def net(seed=0, n_names=3):
    """Eight layers: the family's smallest."""
    return drawn(lambda: SmallResNet(1, n_names, 1, shortcuts=True), seed)


@pytest.fixture(scope="module")
def body():
    """Has seen other stripes than the tests'."""
    found = net()
    from_scratch(found, stripes(90, 5), Course(4, COURSE.normalize), 0, device=CPU, progress=Progress())
    return found


def run(body, folder=None, images=None, **options):
    asked = {"per_class": (3, 6, None), "seeds": 2, "device": "cpu"} | options
    return transfer(images or stripes(60), body, net, COURSE, folder=folder, **asked)


def test_every_way_every_size_side_by_side(body, tmp_path):
    before = {name: value.clone() for name, value in body.state_dict().items()}
    found = run(body, own=stripes(30, 9))
    assert [(one.way, one.per_class, one.n_learned) for one in found.scores[:3]] == [
        ("frozen", 3, 9), ("fine-tuned", 3, 9), ("scratch", 3, 9),
    ]  # fmt: skip
    assert len(found.scores) == len(found.differences) == 9
    assert (found.n_learn, found.n_test) == (48, 12)
    assert found.own_data.right > 0.8
    last = {one.way: one for one in found.scores[-3:]}
    assert last["frozen"].right > 0.8
    for one in found.scores:
        assert one.interval[0] <= one.right <= one.interval[1]
        assert one.right == pytest.approx(np.mean(one.by_seed))
        assert one.cpu_s > 0
        assert one.peak_mb > 10
    assert last["frozen"].cpu_s < last["fine-tuned"].cpu_s
    assert all((value == body.state_dict()[name]).all() for name, value in before.items())
    assert len(found.verdict) >= 3
