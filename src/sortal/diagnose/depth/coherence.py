"""Do neighbouring blocks hear the same? The cosine between the loss's gradients by their outputs.

With shortcuts the gradient passes a block nearly as it is, and the cosine is near 1; in deep plain networks
it is turned at every block: gradients are shattered.
*Source:* Balduzzi et al. 2017, arXiv:1702.08591.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from sortal.diagnose.depth.untouched import untouched
from sortal.diagnose.time.cells import unwrapped

__all__ = ["coherence"]


def coherence(net: nn.Module, loss: Callable[[], Tensor]) -> dict[tuple[str, str], float]:
    """Of each two successive blocks whose outputs have one shape: the mean cosine over the batch's items.

    Blocks are the parts of the network's nn.Sequential. `loss()` runs the network; nothing of it moves.
    """
    net = unwrapped(net)
    found: list[tuple[str, Tensor]] = []
    blocks = {
        f"{name}.{part}".lstrip("."): module
        for name, row in net.named_modules() if isinstance(row, nn.Sequential)
        for part, module in row.named_children() if not isinstance(module, nn.Sequential)
    }  # fmt: skip
    handles = [block.register_forward_hook(_watch(name, found)) for name, block in blocks.items()]
    try:
        with untouched(net), torch.enable_grad():
            loss().backward()  # type: ignore[no-untyped-call]
    finally:
        for handle in handles:
            handle.remove()
    found.reverse()  # gradients come from the loss down
    return {
        (below, above): float(torch.nn.functional.cosine_similarity(g, h).mean())
        for (below, g), (above, h) in pairwise(found)
        if g.shape == h.shape
    }


def _watch(name: str, found: list[tuple[str, Tensor]]) -> Callable[..., None]:
    def note(module: nn.Module, given: object, out: object) -> None:
        if isinstance(out, Tensor) and out.requires_grad:
            out.register_hook(  # type: ignore[no-untyped-call]
                lambda gradient: found.append((name, gradient.detach().flatten(1)))
            )

    return note
