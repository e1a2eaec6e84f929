"""The microscope as a watcher of the training loop: every layer and every lag, at every fiftieth step."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from sortal.diagnose.depth.profile import Profile, profile_of
from sortal.diagnose.depth.recorder import Recorder
from sortal.diagnose.time.cells import recurrent_layers, unwrapped
from sortal.diagnose.time.lags import Caught, Reach, catch
from sortal.errors import InputError
from sortal.train.loop import Moment

__all__ = ["Microscope", "Sample"]


@dataclass(frozen=True)
class Sample:
    """What was seen at `step`, from 0 on: all layers, and by name how far back recurrent ones reach."""

    step: int
    epoch: int
    profile: Profile
    reach: dict[str, Reach]


class Microscope:
    """`with Microscope() as seen: train(..., watchers=[seen])`; then `seen.samples`.

    It hooks itself in for one pass in `every` and runs nothing of its own, so nothing changes. A run is
    stopped where the gradient is 0 in every layer but the last at two samples in a row. Without `with`, hooks
    may be left until the network's next training pass: call `close`.
    """

    def __init__(self, every: int = 50) -> None:
        if every < 2:
            raise InputError(f"every must be at least 2 steps; got {every}.")
        self.every = every
        self.samples: list[Sample] = []
        self._recorder: Recorder | None = None
        self._caught: dict[str, Caught] = {}
        self._handles: list[RemovableHandle] = []
        self._weights: dict[nn.Module, list[Tensor]] = {}

    def __enter__(self) -> "Microscope":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take every hook away."""
        if self._recorder:
            self._recorder.detach()
            self._recorder = None
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def __call__(self, moment: Moment) -> str | None:
        if self._weights:  # of the step before: the optimiser has moved them since
            self._see_moves()
        reason = None
        if self._recorder and self._recorder.layers:
            self._read(moment)
            reason = self._died()
        if (moment.step + 1) % self.every == 0:
            self._attach(unwrapped(moment.net))
        return reason

    def _attach(self, net: nn.Module) -> None:
        self.close()
        self._recorder = Recorder(net).attach()
        self._caught = {}
        self._handles = [catch(name, layer, self._caught) for name, layer in recurrent_layers(net).items()]

    def _read(self, moment: Moment) -> None:
        assert self._recorder
        profile = profile_of(self._recorder, moment.answer.loss)
        self._weights = {
            flow.module: [p.detach().clone() for p in flow.module.parameters(recurse=False) if p.ndim > 1]
            for flow in self._recorder.layers if flow.module is not None
        }  # fmt: skip
        reach = {name: one.reach(name) for name, one in self._caught.items()}
        self.samples.append(Sample(moment.step, moment.epoch, profile, reach))
        self._modules = [flow.module for flow in self._recorder.layers]
        self.close()

    def _see_moves(self) -> None:
        moved = {}
        for module, before in self._weights.items():
            now = [p.detach() for p in module.parameters(recurse=False) if p.ndim > 1]
            change = torch._foreach_norm(torch._foreach_sub(now, before))
            length = torch._foreach_norm(before)
            moved[module] = float(torch.stack(change).norm() / torch.stack(length).norm())
        last = self.samples[-1]
        layers = tuple(
            replace(layer, update_ratio=moved.get(module, math.nan))  # type: ignore[arg-type]
            for layer, module in zip(last.profile.layers, self._modules)
        )
        self.samples[-1] = replace(last, profile=replace(last.profile, layers=layers))
        self._weights = {}

    def _died(self) -> str | None:
        if len(self.samples) < 2 or not all(_is_dead(one.profile) for one in self.samples[-2:]):
            return None
        before, now = self.samples[-2:]
        profile = now.profile
        dead = [one for one in profile.activations if one.kind == "relu" and one.idle == 1]
        why = f"; all units of {dead[0].name or 'the network'} give 0" if dead else ""
        return (
            f"the gradient has died: it is 0 in every layer below {profile.layers[-1].name} at steps "
            f"{before.step} and {now.step}{why}. Lower the rate, start anew, or see `sortal gradients`."
        )


def _is_dead(profile: Profile) -> bool:
    below = [layer.gradient_norm for layer in profile.layers[:-1] if not (layer.frozen or layer.cut)]
    return bool(below) and not any(below)
