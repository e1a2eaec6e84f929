"""A recipe carried out: data in, a trained network and its test figures out; and a run taken up again.

RUN/sequence.json   the recipe, the network's name and options, its vocabularies: what use needs
                    beside the run folder's own files (see run_folder.py)
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from sortal.data import shown
from sortal.data.vocabulary import Vocabulary
from sortal.errors import DataError, InputError
from sortal.progress import Progress
from sortal.train.curve import Epoch
from sortal.train.device import choose_device
from sortal.train.loop import Trained, Watcher, train
from sortal.train.sequence.prepared import Figures, Prepared, made
from sortal.train.sequence.recipes import SequenceRecipe
from sortal.whole import write_whole

__all__ = ["Kept", "SequenceOutcome", "evaluate", "open_run", "prepare_run", "run_sequence"]

KINDS = (
    "surnames",
    "spoken",
    "pixels",
    "tagging",
    "commands",
    "characters",
    "memory",
    "captions",
    "photographs",
)
KEPT = "sequence.json"


@dataclass(frozen=True)
class SequenceOutcome:
    """`clipped` is the share of steps whose gradient was shortened, `clipped_away` that of all its length."""

    recipe: str
    seed: int
    figure: str
    goal: float | None
    reached: bool | None
    numbers: Mapping[str, float]
    lines: tuple[str, ...]
    clipped: float | None
    clipped_away: float | None
    n_parameters: int
    cpu_s: float
    wall_s: float
    trained: Trained

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Kept:
    """A run that has ended, ready for use."""

    recipe: SequenceRecipe
    net: nn.Module
    symbols: Mapping[str, Vocabulary]


def run_sequence(
    recipe: SequenceRecipe,
    data: str | os.PathLike[str] | None,
    *,
    device: str = "auto",
    folder: str | os.PathLike[str] | None = None,
    watchers: Sequence[Watcher] = (),
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    progress: Progress = Progress(),  # noqa: B008 (has no state)
) -> SequenceOutcome:
    """Train as `recipe` says on what lies below `data`, and judge by the test set once.

    Without `data` what the package can make itself stands in, for smoke runs. `InputError` where the folder
    lacks what the recipe needs.
    """
    where = choose_device(device)
    prepared = prepare_run(recipe, data)
    for line in (f"device: {where}", *prepared.facts):
        progress.say(line)
    net = made(prepared.network, prepared.options, recipe.plan.seed)
    trained = train(
        net, prepared.task, prepared.learn, recipe.plan, valid=prepared.valid, device=where, folder=folder,
        watchers=watchers, on_epoch=on_epoch, progress=progress,
    )  # fmt: skip
    if folder is not None:
        _keep(Path(folder), recipe, prepared)
    found = prepared.judge(net, where)
    return _outcome(recipe, found, trained, sum(p.numel() for p in net.parameters()))


def evaluate(
    run: str | os.PathLike[str], data: str | os.PathLike[str] | None, device: str = "auto"
) -> Figures:
    """The figures of a finished run on its test set, computed anew."""
    kept, where = open_run(run), choose_device(device)
    prepared = prepare_run(kept.recipe, data)
    if {name: one.symbols for name, one in prepared.symbols.items()} != {
        name: one.symbols for name, one in kept.symbols.items()
    }:
        raise InputError(
            f"{shown(str(run))} was trained on other data than {shown(str(data))}: symbols differ."
        )
    return prepared.judge(kept.net.to(where.device), where)


def open_run(run: str | os.PathLike[str], *kinds: str) -> Kept:
    """A run's network with its weights. `InputError` where it is none, or of none of `kinds`."""
    folder = Path(run)
    name = shown(str(folder))
    try:
        record = json.loads((folder / KEPT).read_bytes())
        weights = safetensors.torch.load_file(folder / "weights.safetensors")
    except FileNotFoundError as e:
        raise InputError(
            f"{name} must be a finished run of sortal sequence train --into; it has no "
            f"{Path(e.filename or 'weights.safetensors').name}."
        ) from e
    except (OSError, ValueError, SafetensorError) as e:
        raise DataError(f"{name}: a file of the run cannot be read: {str(e)[:160]}. Train again.") from e
    try:
        recipe = SequenceRecipe.from_json(record["recipe"])
        if record["options"].get("layers", 1) > len(weights):
            raise RuntimeError("fewer tensors than layers")  # a billion of them would take an hour to build
        with torch.device("meta"):  # a stranger's sizes take no memory before the weights fit them
            net = made(record["network"], record["options"])
        symbols = {name: Vocabulary(tuple(one)) for name, one in record["symbols"].items()}
        net.load_state_dict(weights, assign=True)
    except (KeyError, TypeError, AttributeError, RuntimeError) as e:
        raise DataError(f"{name}: {KEPT} and the weights do not fit: {str(e)[:160]}. Train again.") from e
    if kinds and recipe.kind not in kinds:
        raise InputError(
            f"{name} must be a run of the kind {kinds[0]}; it is one of {recipe.kind} ({recipe.name})."
        )
    return Kept(recipe, net.eval(), symbols)


def prepare_run(recipe: SequenceRecipe, data: str | os.PathLike[str] | None) -> Prepared:
    if recipe.kind not in KINDS:  # a name in a file picks from these, no more
        raise InputError(f"kind must be one of {', '.join(KINDS)}; got {recipe.kind!r}.")
    if data is None and recipe.n_train is None and recipe.kind != "memory":
        raise InputError(f"{recipe.name} needs its data: name the folder that holds it.")
    if data is not None and not Path(data).exists():
        raise InputError(f"data must be a folder; {shown(str(data))} is not there.")
    prepare = import_module(f"sortal.train.sequence.{recipe.kind}").prepare
    prepared: Prepared = prepare(recipe, None if data is None else Path(data))
    return prepared


def _keep(folder: Path, recipe: SequenceRecipe, prepared: Prepared) -> None:
    record = {
        "recipe": recipe.as_json(),
        "network": prepared.network,
        "options": dict(prepared.options),
        "symbols": {name: list(one.symbols) for name, one in prepared.symbols.items()},
    }
    write_whole(folder / KEPT, (json.dumps(record, indent=1) + "\n").encode())


def _outcome(recipe: SequenceRecipe, found: Figures, trained: Trained, n_parameters: int) -> SequenceOutcome:
    curve = trained.curve
    steps = sum(epoch.steps for epoch in curve)
    lengths = sum((epoch.grad_norm or 0.0) * epoch.steps for epoch in curve)
    clips = recipe.plan.clip_norm is not None and steps > 0
    clipped = sum((epoch.clipped or 0.0) * epoch.steps for epoch in curve) / max(steps, 1)
    away = sum((epoch.clipped_away or 0.0) * (epoch.grad_norm or 0.0) * epoch.steps for epoch in curve)
    return SequenceOutcome(
        recipe=recipe.name, seed=recipe.plan.seed, figure=recipe.figure, goal=recipe.goal,
        reached=recipe.reached(found.numbers[recipe.figure]), numbers=found.numbers, lines=found.lines,
        clipped=clipped if clips else None, clipped_away=away / lengths if clips and lengths else None,
        n_parameters=n_parameters, cpu_s=round(sum(epoch.cpu_s for epoch in curve), 1),
        wall_s=round(sum(epoch.wall_s for epoch in curve), 1), trained=trained,
    )  # fmt: skip
