"""The loop that trains any network on any task.

It is given all it needs: a network, a task (what is the loss?), batches (what comes next?) and a plan (how
fast, how long?). It watches for what goes wrong, and a run that was killed goes on to the same bits on CPU.
"""

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sortal.errors import InputError
from sortal.interrupt import held_interrupt
from sortal.progress import Progress
from sortal.tasks import Answer, Batch, Task
from sortal.train.average import Average
from sortal.train.batches import Batches
from sortal.train.checkpoint import load_optimizer, newest_checkpoint, optimizer_tensors, save_checkpoint
from sortal.train.curve import Epoch
from sortal.train.device import Device, choose_device
from sortal.train.optimizer import make_optimizer, set_learning_rate, training_mode
from sortal.train.plan import Plan
from sortal.train.run_folder import RunFolder
from sortal.train.schedule import learning_rate
from sortal.train.sums import Sums
from sortal.train.trouble import LossWatch, explain_memory

__all__ = ["Moment", "Trained", "Watcher", "judge", "train"]

CHECKPOINT_S = 30.0  # what a kill may cost; a longer pause is taken where writing takes over 2 % of it


@dataclass(frozen=True, slots=True)
class Moment:
    """What a watcher sees: gradients are there, the weights have not moved yet. Read, change nothing."""

    step: int
    epoch: int
    lr: float
    answer: Answer
    net: nn.Module
    batch: Batch
    task: Task
    plan: Plan


Watcher = Callable[[Moment], str | None]  # a reason to stop, or None to go on


@dataclass(frozen=True)
class Trained:
    """What a run came to. The network itself holds the weights of `best_epoch`."""

    curve: tuple[Epoch, ...]
    best_epoch: int
    steps: int
    stopped: str  # why it ended
    device: str


def train(
    net: nn.Module,
    task: Task,
    batches: Batches,
    plan: Plan,
    *,
    valid: Batches | None = None,
    device: Device | str = "auto",
    folder: str | os.PathLike[str] | None = None,
    watchers: Sequence[Watcher] = (),
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    progress: Progress = Progress(),  # noqa: B008 (has no state)
    checkpoint_s: float = CHECKPOINT_S,
) -> Trained:
    """Train `net` in place by `plan`; it ends with its best weights, by `valid` if given, else its last.

    With `folder`, the run keeps its settings, curve and checkpoints there, and the same call goes on where an
    earlier one was killed; on CPU with as many threads it ends with the same bits. The first Ctrl-C makes a
    checkpoint, then raises KeyboardInterrupt.

    `InputError`: `folder` holds a run with other settings, a batch that the GPU cannot hold. `Diverged`: the
    loss became NaN; `net` then holds its last good weights.
    """
    if plan.patience is not None and valid is None:
        raise InputError("patience needs batches to judge by; give valid, or leave patience out.")
    kept = RunFolder(Path(folder)) if folder is not None else None
    where = device if isinstance(device, Device) else choose_device(device)
    with held_interrupt() as interrupted, _reproducible(plan.seed, where):
        run = _Run(net, task, batches, valid, plan, where, kept, checkpoint_s)
        if run.step and kept:
            progress.say(kept.goes_on(run.step, str(where)))
        progress.start("training", plan.epochs * len(batches) - run.step)
        while not (why := run.ended()):
            why = run.steps_of_epoch(watchers, progress, interrupted)
            if run.sums.steps:  # none where a watcher stopped the first
                on_epoch(run.judged())
            if why:
                return run.finish(why)
        run.save()
        return run.finish(why)


def judge(net: nn.Module, task: Task, batches: Batches, device: Device) -> tuple[float, float]:
    """Mean loss and share of right answers over all batches, the network as in use."""
    net.eval()
    sums = Sums(device.device)
    with torch.inference_mode(), _precision(device):
        for batch in batches.epoch(0):
            sums.add(task.judge(net, _placed(batch, device)))
    return sums.loss, sums.right


class _Run:
    """A run between two steps: all that a checkpoint holds."""

    def __init__(
        self, net: nn.Module, task: Task, batches: Batches, valid: Batches | None, plan: Plan,
        device: Device, folder: RunFolder | None, checkpoint_s: float,
    ) -> None:  # fmt: skip
        self.net, self.task, self.batches, self.valid, self.plan = net, task, batches, valid, plan
        self.device, self.folder, self.checkpoint_s = device, folder, checkpoint_s
        order = torch.channels_last if device.channels_last else torch.preserve_format
        net.to(device=device.device, memory_format=order)  # type: ignore[call-overload]
        self.optimizer = make_optimizer(net, plan)
        self.average = Average(net, plan.ema) if plan.ema else None
        self.step = self.epoch = self.batch = 0  # `batch` counts those of the epoch that are done
        self.curve: list[Epoch] = []
        self.best = _copy(net.state_dict())
        self.best_epoch, self.best_score = 0, -math.inf
        self.sums, self.watch = Sums(device.device), LossWatch(plan)
        self._saved_at, self._save_took = time.monotonic(), 0.0
        if folder:
            settings = {"plan": plan.as_json(), "task": task.as_json(), "batches": batches.as_json()}
            folder.claim(settings | {"valid": valid.as_json() if valid else None}, net, str(device))
            self._resume()

    def ended(self) -> str | None:
        """Why there is nothing more to do, or None."""
        if self.epoch == self.plan.epochs:
            return f"all {self.plan.epochs} epochs done"
        if self.plan.patience and self.curve and self.epoch - self.best_epoch >= self.plan.patience:
            return f"no better score for {self.plan.patience} epochs"
        return None

    def steps_of_epoch(
        self, watchers: Sequence[Watcher], progress: Progress, interrupted: Callable[[], bool]
    ) -> str | None:
        """The rest of the epoch under way; a watcher's reason to stop."""
        training_mode(self.net)
        self.sums.start_clock()
        for batch in self.batches.epoch(self.epoch, self.batch):
            reason = self._one_step_if_it_fits(_placed(batch, self.device), watchers)
            if reason:  # no checkpoint: the forward pass has moved statistics and generators already
                self.sums.stop_clock()
                return f"stopped before step {self.step}: {reason}"
            self.step, self.batch = self.step + 1, self.batch + 1
            progress.advance(1)
            if interrupted():
                self._stop_here()
            if time.monotonic() - self._saved_at >= max(self.checkpoint_s, 50 * self._save_took):
                self.save()
        self.sums.stop_clock()
        return None

    def _one_step_if_it_fits(self, batch: Batch, watchers: Sequence[Watcher]) -> str | None:
        with contextlib.suppress(torch.OutOfMemoryError):
            return self._one_step(batch, watchers)
        # Out here no traceback holds the tensors that did not fit.
        advice = explain_memory(self.net, self.task, batch)
        self._keep_best()
        raise InputError(advice)

    def _one_step(self, batch: Batch, watchers: Sequence[Watcher]) -> str | None:
        """Forward, backward, watchers, clipping, step."""
        rate = learning_rate(self.plan, self.step, len(self.batches))
        with _precision(self.device):
            answer = self.task.loss(self.net, batch)
        self.optimizer.zero_grad()
        answer.loss.backward()  # type: ignore[no-untyped-call]
        self._check_loss()
        self.watch.note(self.step, rate, answer.loss.detach(), batch)
        moment = Moment(self.step, self.epoch, rate, answer, self.net, batch, self.task, self.plan)
        for watcher in watchers:
            if reason := watcher(moment):
                return reason
        if self.plan.clip_norm:
            limit = self.plan.clip_norm
            norm = nn.utils.clip_grad_norm_(self.net.parameters(), limit)
            self.sums.add_norm(norm, limit)
        set_learning_rate(self.optimizer, rate)
        self.optimizer.step()
        if self.average:
            self.average.update(self.step)
        self.sums.add(answer)
        return None

    def _check_loss(self, *, weights: bool = False) -> None:
        """The loss of the step before: read this late, a GPU never waits for us. `weights`: these as well."""
        try:
            self.watch.check()
            if weights:
                self.watch.check_weights(self.net)
        except Exception:
            self._keep_best()
            if self.folder:
                self.folder.write_weights(self.best)
            raise

    def judged(self) -> Epoch:
        """Close the epoch: its line of the curve, its weights if they are the best, files."""
        self._check_loss(weights=True)
        with self.average.in_place() if self.average else contextlib.nullcontext():
            found = judge(self.net, self.task, self.valid, self.device) if self.valid else None
            score = self.task.score(*found) if found else math.inf
            if score > self.best_score or self.valid is None:
                self.best, self.best_epoch, self.best_score = (
                    _copy(self.net.state_dict()),
                    self.epoch + 1,
                    score,
                )
        rate = learning_rate(self.plan, max(self.step - 1, 0), len(self.batches))
        self.curve.append(self.sums.epoch(self.epoch + 1, rate, found, self.plan.clip_norm is not None))
        self.epoch, self.batch, self.sums = self.epoch + 1, 0, Sums(self.device.device)
        if self.folder:
            self.folder.write_curve(self.curve)
        return self.curve[-1]

    def finish(self, why: str) -> Trained:
        """The best weights, in the network and in the run's folder."""
        self._keep_best()
        if self.folder:
            self.folder.write_weights(self.best)
        return Trained(tuple(self.curve), self.best_epoch, self.step, why, str(self.device))

    def save(self) -> None:
        """A checkpoint, where there is a folder for it."""
        if not self.folder:
            return
        self._check_loss(weights=True)
        before = time.monotonic()
        parts = {
            "net": self.net.state_dict(),
            "optimizer": optimizer_tensors(self.net, self.optimizer),
            "average": self.average.mean if self.average else {},
            "best": self.best,
            "chance": _chance(self.device),
            "task": self.task.state(),
        }
        state = {
            "epoch": self.epoch,
            "batch": self.batch,
            "best_epoch": self.best_epoch,
            "best_score": self.best_score,
            "curve": [asdict(epoch) for epoch in self.curve],
            "sums": self.sums.as_json(),
        }
        save_checkpoint(self.folder.checkpoints, self.step, parts, state)
        self._saved_at = time.monotonic()
        self._save_took = self._saved_at - before

    def _resume(self) -> None:
        assert self.folder
        saved = newest_checkpoint(self.folder.checkpoints)
        if saved is None:
            return
        self.net.load_state_dict(saved.parts["net"])
        load_optimizer(self.net, self.optimizer, saved.parts["optimizer"])
        if self.average:
            self.average.restore(saved.parts["average"])
        self.task.restore(saved.parts["task"])
        _set_chance(self.device, saved.parts["chance"])
        self.best = {name: value.to(self.device.device) for name, value in saved.parts["best"].items()}
        state = saved.state
        self.step, self.epoch, self.batch = saved.step, state["epoch"], state["batch"]
        self.best_epoch, self.best_score = state["best_epoch"], state["best_score"]
        self.curve = [Epoch(**epoch) for epoch in state["curve"]]
        self.sums.restore(state["sums"])

    def _stop_here(self) -> None:
        self.save()
        total = self.plan.epochs * len(self.batches)
        kept = (
            f"the same command goes on from there ({self.folder.path})" if self.folder else "nothing is kept"
        )
        raise KeyboardInterrupt(f"stopped after step {self.step:,} of {total:,}; {kept}.")

    def _keep_best(self) -> None:
        self.net.load_state_dict(self.best)


def _copy(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in weights.items()}


def _placed(batch: Batch, device: Device) -> Batch:
    """The batch where the network is; images in the order of memory that it wants."""
    placed = {name: value.to(device.device, non_blocking=True) for name, value in batch.items()}
    if device.channels_last:
        return {
            name: value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value
            for name, value in placed.items()
        }
    return placed


def _precision(device: Device) -> contextlib.AbstractContextManager[Any]:
    return torch.autocast(device.device.type, device.half) if device.half else contextlib.nullcontext()


@contextlib.contextmanager
def _reproducible(seed: int, device: Device) -> Iterator[None]:
    """torch's generators start from `seed` and are given back as they were; cuDNN races no kernels."""
    devices = [device.device] if device.device.type == "cuda" else []
    with (
        torch.random.fork_rng(devices),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
    ):
        torch.manual_seed(seed)
        yield


def _chance(device: Device) -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if device.device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device.device)
    return states


def _set_chance(device: Device, states: Mapping[str, Tensor]) -> None:
    torch.set_rng_state(states["cpu"])
    if device.device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device.device)
