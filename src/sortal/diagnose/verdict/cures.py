"""Cures, each tried on a copy of the network for a few hundred steps and reported with what it did.

A cure is a change of the network or of how it is trained; each is tried alone, beside the untreated copy, on
the same batches at the same rate.
"""

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from typing import Any

import torch
from torch import Tensor, nn

from sortal.diagnose.depth.profile import layer_profile
from sortal.diagnose.time.cells import is_recurrent, recurrent_layers, unwrapped
from sortal.diagnose.time.lags import lags_of
from sortal.diagnose.verdict.conditions import Condition
from sortal.diagnose.verdict.examination import ask, examine
from sortal.errors import InputError
from sortal.nets import GRU, Recurrent
from sortal.tasks import Batch, Task

__all__ = ["CURES", "Trial", "try_cures"]


@dataclass(frozen=True)
class Trial:
    """What `cure` did in `steps` steps: the loss before and after, and what the network then suffered from.

    The loss is the mean over the batches given. `steps` is fewer where the loss ceased to be finite, and 0
    where it hangs on no weight that learns.
    """

    cure: str
    steps: int
    loss_before: float
    loss: float
    condition: Condition
    words: str


Cure = Callable[[nn.Module, Task, Sequence[Batch]], nn.Module | None]


def gates(net: nn.Module, task: Task, batches: Sequence[Batch]) -> nn.Module | None:
    """Each plain RNN becomes a GRU of the same size, its gates set for memories as long as the batch is.

    With gates at their usual start a state of 600 steps was under 1 % at lag 25, where the RNN's was at 35.
    """
    found = {name: module for name, module in recurrent_layers(net).items() if isinstance(module, nn.RNN)}
    seen = lags_of(net, partial(ask, net, task, batches[0])) if found else ()
    n_steps = {one.name: one.log_influence.shape[1] - 1 for one in seen}
    for name, rnn in found.items():
        options: dict[str, Any] = {
            "num_layers": rnn.num_layers,
            "dropout": rnn.dropout,
            "bidirectional": rnn.bidirectional,
        }
        gru: nn.Module = GRU(rnn.input_size, rnn.hidden_size, **options).chrono(max(n_steps.get(name, 0), 3))
        if not isinstance(rnn, Recurrent):  # ours takes lengths, torch's either order
            weights = gru.state_dict()
            gru = nn.GRU(rnn.input_size, rnn.hidden_size, **options, batch_first=rnn.batch_first)
            gru.load_state_dict(weights)
        net = _replaced(net, name, gru.to(rnn.weight_hh_l0))  # type: ignore[arg-type]
    return net if found else None


def start(net: nn.Module, task: Task, batches: Sequence[Batch]) -> nn.Module:
    """Weights drawn anew: orthogonal recurrent ones, He et al.'s rule for ReLU, Glorot and Bengio's else."""
    profile = layer_profile(net, lambda: task.loss(net, batches[0]).loss)
    relu = any(one.kind == "relu" for one in profile.activations)
    for module in net.modules():
        if is_recurrent(module):
            _orthogonal(module)
            continue
        for name, weight in module.named_parameters(recurse=False):
            if isinstance(module, nn.modules.batchnorm._NormBase | nn.LayerNorm):
                nn.init.constant_(weight, float(name == "weight"))
            elif weight.ndim > 1:
                (nn.init.kaiming_normal_ if relu else nn.init.xavier_normal_)(weight)
            else:
                nn.init.zeros_(weight)
    return net


def _orthogonal(rnn: nn.Module) -> None:
    for name, weight in rnn.named_parameters(recurse=False):
        if name.startswith("weight_hh"):
            for rows in weight.split(weight.shape[1]):  # type: ignore[no-untyped-call]
                with torch.no_grad():
                    rows.copy_(nn.init.orthogonal_(torch.empty_like(rows)))
        elif weight.ndim > 1:
            nn.init.xavier_uniform_(weight)
        else:
            nn.init.zeros_(weight)


def shortcut(net: nn.Module, task: Task, batches: Sequence[Batch]) -> nn.Module | None:
    """What goes into a block of a row is added to what comes out, where both have one shape."""
    if layer_profile(net, lambda: task.loss(net, batches[0]).loss, severed=True).n_shortcuts:
        return None
    found = False
    for row in net.modules():
        for block in row if isinstance(row, nn.Sequential) else ():
            if _keeps_shape(block):
                block.register_forward_hook(
                    lambda _, given, out: out + given[0] if out.shape == given[0].shape else out
                )
                found = True
    return net if found else None


def _keeps_shape(block: nn.Module) -> bool:
    if isinstance(block, nn.Linear):
        return block.in_features == block.out_features
    if isinstance(block, nn.modules.conv._ConvNd):
        return block.in_channels == block.out_channels
    return bool(list(block.children())) and not isinstance(block, nn.Sequential)


def normalisation(net: nn.Module, task: Task, batches: Sequence[Batch]) -> nn.Module | None:
    """A batch norm behind each convolution, a layer norm behind each linear layer but the last."""
    if any(
        isinstance(m, nn.modules.batchnorm._NormBase | nn.LayerNorm | nn.GroupNorm) for m in net.modules()
    ):
        return None
    kinds: dict[type[nn.Module], Callable[[nn.Module], nn.Module]] = {
        nn.Linear: lambda one: nn.LayerNorm(one.out_features),
        nn.Conv1d: lambda one: nn.BatchNorm1d(one.out_channels),  # type: ignore[arg-type]
        nn.Conv2d: lambda one: nn.BatchNorm2d(one.out_channels),  # type: ignore[arg-type]
    }
    found = [(name, module) for name, module in net.named_modules() if type(module) in kinds][:-1]
    for name, module in found:
        weight = module.weight
        net = _replaced(net, name, nn.Sequential(module, kinds[type(module)](module).to(weight)))
    return net if found else None


def window(net: nn.Module, task: Task, batches: Sequence[Batch]) -> nn.Module | None:
    """Backpropagation through time cut off after 20 steps, the state carried on."""
    found = [rnn for rnn in recurrent_layers(net).values() if not getattr(rnn, "bidirectional", False)]
    for rnn in found:
        rnn.forward = _windowed(rnn, rnn.forward, 20)
    return net if found else None


def _windowed(rnn: nn.Module, run: Callable[..., Any], steps: int) -> Callable[..., Any]:
    def forward(inputs: Tensor, state: Any = None, lengths: Any = None) -> tuple[Tensor, Any]:
        if lengths is not None:
            raise InputError("a shorter window needs sequences of one length; these have several.")
        axis = int(bool(getattr(rnn, "batch_first", False))) if inputs.ndim == 3 else 0
        parts = []
        for part in inputs.split(steps, axis):  # type: ignore[no-untyped-call]
            out, state = run(part, state)
            state = tuple(one.detach() for one in state) if isinstance(state, tuple) else state.detach()
            parts.append(out)
        return torch.cat(parts, axis), state

    return forward


def unchanged(net: nn.Module, task: Task, batches: Sequence[Batch]) -> nn.Module:
    return net


# The change of the network, the factor of the rate, whether the gradient is clipped to length 1.
CURES: dict[str, tuple[Cure, float, bool]] = {
    "untreated": (unchanged, 1.0, False),
    "clip": (unchanged, 1.0, True),
    "smaller step": (unchanged, 0.1, False),
    "initialise": (start, 1.0, False),
    "gates": (gates, 1.0, False),
    "shortcut": (shortcut, 1.0, False),
    "normalisation": (normalisation, 1.0, False),
    "shorter window": (window, 1.0, False),
}
ORDER: dict[Condition, tuple[str, ...]] = {
    "healthy": (),
    "vanishing": ("gates", "shortcut", "normalisation", "initialise"),
    "exploding": ("clip", "smaller step", "initialise", "normalisation", "gates", "shorter window"),
    "dead": ("initialise", "smaller step", "normalisation"),
    "saturated": ("initialise", "normalisation", "gates", "smaller step"),
    "not finite": ("smaller step", "clip", "initialise", "normalisation"),
}  # what acts on the cause stands before what acts on its effect
CLIP = 1.0


def try_cures(
    net: nn.Module, task: Task, batches: Sequence[Batch], condition: Condition, *,
    lr: float = 0.05, steps: int = 200, cures: Sequence[str] | None = None, seed: int = 0,
) -> tuple[Trial, ...]:  # fmt: skip
    """Try the cures of `condition`, or those named, on copies of `net`; the untreated copy comes first.

    Plain descent at `lr` through `batches` in turn. A cure that this network has no place for is left out.
    """
    if not batches or steps < 1:
        raise InputError(f"cures need batches and at least one step; got {len(batches)} and {steps}.")
    wanted = ORDER[condition] if cures is None else tuple(cures)
    unknown = [name for name in wanted if name not in CURES]
    if unknown:
        raise InputError(f"cures must be of {', '.join(CURES)}; got {unknown[0]!r}.")
    found = []
    for name in ("untreated", *wanted):
        change, factor, clipped = CURES[name]
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            changed = change(deepcopy(unwrapped(net)), task, batches)
            if changed is not None:
                found.append(
                    _trial(name, changed, task, batches, lr * factor, steps, CLIP if clipped else None)
                )
    return tuple(found)


def _trial(
    name: str, net: nn.Module, task: Task, batches: Sequence[Batch], lr: float, steps: int, clip: float | None
) -> Trial:
    before = _mean_loss(net, task, batches)
    done = 0
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    for batch in islice(cycle(batches), steps):
        net.zero_grad()
        loss = task.loss(net, batch).loss
        if not bool(torch.isfinite(loss)) or not loss.requires_grad:
            break
        loss.backward()  # type: ignore[no-untyped-call]
        if clip is not None:
            nn.utils.clip_grad_norm_(trained, clip)
        with torch.no_grad():
            for parameter in trained:
                if parameter.grad is not None:
                    parameter.sub_(parameter.grad, alpha=lr)
        done += 1
    sign = examine(net, task, batches[:1]).worst.sign
    return Trial(name, done, before, _mean_loss(net, task, batches), sign.condition, sign.words)


def _mean_loss(net: nn.Module, task: Task, batches: Sequence[Batch]) -> float:
    with torch.no_grad(), torch.random.fork_rng():
        found = [float(task.loss(net, batch).loss) for batch in batches]
    mean = sum(found) / len(found)
    return mean if math.isfinite(mean) else math.inf


def _replaced(net: nn.Module, name: str, new: nn.Module) -> nn.Module:
    if not name:
        return new
    parent, _, part = name.rpartition(".")
    setattr(net.get_submodule(parent), part, new)
    return net
