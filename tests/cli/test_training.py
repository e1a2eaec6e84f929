"""What commands that train or open networks share."""

import sys

import pytest

COMMANDS = [
    "arch resnet18", "gradients resnet20", "look resnet20 photo.png --out page.html",
    "recipe lenet5-mnist --smoke", "sequence train names --smoke", "study filters --smoke",
    "train photos.sortal --into m --net resnet20",
    "transfer photos/ --net resnet20 --weights w.th --epochs 1",
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.split()[0])
def test_without_torch_it_is_one_line_before_anything_is_read(sortal, command, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert 'needs an optional part: pip install "sortal[nets]".' in sortal(*command.split()).error()
