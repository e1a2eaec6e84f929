"""A network that is run to be looked at, and afterwards is as it was."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from sortal.errors import InputError

__all__ = ["untouched"]


@contextlib.contextmanager
def untouched(net: nn.Module) -> Iterator[None]:
    """Weights, buffers (a batch norm's statistics), gradients, modes and generators come back as they were.

    Weights are not copied: nobody who only runs a network moves them.
    """
    if torch.is_inference_mode_enabled():  # enable_grad does not lift it: all would look cut off
        raise InputError("a gradient must be asked for outside of torch.inference_mode(); leave it first.")
    buffers = [(buffer, buffer.detach().clone()) for buffer in net.buffers()]
    gradients = [(parameter, parameter.grad) for parameter in net.parameters()]
    modes = [(module, module.training) for module in net.modules()]
    devices = sorted({p.device.index or 0 for p in net.parameters() if p.device.type == "cuda"})
    for parameter, _ in gradients:
        parameter.grad = None
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
        for parameter, gradient in gradients:
            parameter.grad = gradient
        for module, mode in modes:
            module.training = mode
