"""A network looked over on a few batches: its depth, its way through time, and a verdict for each."""

import math
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from sortal.diagnose.depth.profile import Profile, layer_profile
from sortal.diagnose.time.cells import unwrapped
from sortal.diagnose.time.lags import Lags, lags_of
from sortal.diagnose.verdict.conditions import Sign, Verdict, agreed, sign_in_depth, sign_of_growth
from sortal.errors import InputError
from sortal.tasks import Batch, Task

__all__ = ["Examination", "ask", "examine"]


@dataclass(frozen=True)
class Examination:
    """What was seen on each batch, and the verdicts: of the depth first, then one a recurrent layer."""

    profiles: tuple[Profile, ...]
    lags: tuple[tuple[Lags, ...], ...]
    verdicts: tuple[Verdict, ...]

    @property
    def healthy(self) -> bool:
        return all(verdict.condition == "healthy" for verdict in self.verdicts)

    @property
    def worst(self) -> Verdict:
        """The first that is not healthy."""
        return next((one for one in self.verdicts if one.condition != "healthy"), self.verdicts[0])


def examine(net: nn.Module, task: Task, batches: Iterable[Batch], *, lr: float | None = None) -> Examination:
    """Look at `net` as it would learn `task` from each of `batches`; nothing of it moves.

    It is run in the mode that it is in. With `lr` a step of plain descent at that rate is judged too.
    """
    profiles, lags = [], []
    for batch in batches:
        _check_filled(batch)
        # Of a copy: a task that carries its state from batch to batch carries none of ours on.
        loss = partial(ask, net, task, batch)
        profile = layer_profile(net, loss, lr=lr)
        if profile.first_bad:
            profile = replace(profile, note=_birth(profile, net, task, batch))
        profiles.append(profile)
        lags.append(lags_of(net, loss))
    if not profiles:
        raise InputError("batches must hold at least one; got none.")
    signs = [agreed("depth", [sign_in_depth(profile) for profile in profiles])]
    for rows in zip(*lags):
        signs.append(agreed(rows[0].name or "the network", [_sign(one) for one in rows]))
    return Examination(tuple(profiles), tuple(lags), tuple(signs))


def _check_filled(batch: Batch) -> None:
    for name, values in batch.items():
        if not values.numel():
            raise InputError(f"a batch must hold something; its {name} have the shape {tuple(values.shape)}.")


def ask(net: nn.Module, task: Task, batch: Batch) -> Tensor:
    return deepcopy(task).loss(unwrapped(net), batch).loss


def _sign(lags: Lags) -> Sign:
    """That of the cell which is worst off."""
    if lags.first_bad is not None:
        where = f"step {lags.first_bad}"
        return Sign("not finite", where, math.inf, 0, f"the states are NaN or infinite from {where} on")
    signs = [sign_of_growth(row.tolist(), lags.idle, relu=lags.kind == "relu") for row in lags.log_influence]
    return max(signs, key=lambda sign: (sign.condition != "healthy", sign.decades))


def _birth(profile: Profile, net: nn.Module, task: Task, batch: Batch) -> str:
    """Whether the batch or the layer's weights hold it already, or half precision overflows.

    An overflow is told from a loss that has no value by the same pass in float32.
    """
    given = [name for name, values in batch.items() if not _finite(values)]
    if given:
        return f"The batch holds it already, in its {given[0]}."
    born = unwrapped(net).get_submodule(profile.first_bad or "")
    if not all(map(_finite, born.parameters(recurse=False))):
        return "Its weights hold it already."
    if not any(p.dtype in (torch.float16, torch.bfloat16) for p in net.parameters()):
        return ""
    wide = deepcopy(unwrapped(net)).float()
    again = {name: value.float() if value.is_floating_point() else value for name, value in batch.items()}
    if layer_profile(wide, partial(ask, wide, task, again)).first_bad:
        return "In float32 too."
    return "In float32 it is finite: half precision overflows, this is no explosion."


def _finite(values: Tensor) -> bool:
    return bool(torch.isfinite(values).all())
