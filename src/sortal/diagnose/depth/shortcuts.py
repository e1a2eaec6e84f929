"""What shortcuts do for the gradient: the same pass with each of them cut.

A shortcut is a sum of two branches of one value, of which one passes through fewer weights; cutting it leaves
the other. It is found in the graph of the pass itself, so any network will do that adds tensors.
"""

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

__all__ = ["Sever"]

SUMS = {torch.add, Tensor.add, Tensor.add_, Tensor.__add__, Tensor.__radd__, Tensor.__iadd__}


class Sever(TorchFunctionMode):
    """While it is entered, sums that are shortcuts give the branch with more weights alone."""

    def __init__(self) -> None:
        super().__init__()
        self.n_severed = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in SUMS and not kwargs and len(args) == 2:
            kept = _longer_branch(*args)
            if kept is not None:
                self.n_severed += 1
                return kept
        return func(*args, **(kwargs or {}))


def _longer_branch(a: object, b: object) -> Tensor | None:
    """The branch to keep, or None where the sum is no shortcut."""
    if not (isinstance(a, Tensor) and isinstance(b, Tensor)) or a.shape != b.shape:
        return None
    if a.grad_fn is None or b.grad_fn is None:  # a leaf: a bias, an input
        return None
    above_a, above_b = _graph(a.grad_fn), _graph(b.grad_fn)
    joined = {node for node in above_a & above_b if not _is_weight(node)}
    if not joined:
        return None
    weights_a, weights_b = (
        sum(map(_is_weight, above - other)) for above, other in ((above_a, above_b), (above_b, above_a))
    )
    if weights_a == weights_b:
        return None
    return a if weights_a > weights_b else b


def _graph(root: Any) -> set[Any]:
    found, waiting = {root}, [root]
    while waiting:
        for node, _ in waiting.pop().next_functions:
            if node is not None and node not in found:
                found.add(node)
                waiting.append(node)
    return found


def _is_weight(node: Any) -> bool:
    return bool(node.name() == "torch::autograd::AccumulateGrad")
