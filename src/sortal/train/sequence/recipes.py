"""Recipes of the sequence tasks, each with the figure it must reach on its test set.

Settings were chosen on what is learned from; test sets were only counted at the end.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from sortal.train.plan import Plan

__all__ = ["RECIPES", "SequenceRecipe", "smoke", "within"]


@dataclass(frozen=True)
class SequenceRecipe:
    """`kind` names the module beside this one that prepares data and task; `net` and `options` are for it.

    `goal` is a bound of the figure `figure`: the least where larger is better, the most for a loss. None: the
    figure is only reported.
    """

    name: str
    kind: str
    plan: Plan
    batch_size: int
    net: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    figure: str = "right"
    goal: float | None = None
    n_train: int | None = None
    n_test: int | None = None

    def reached(self, value: float) -> bool | None:
        if self.goal is None:
            return None
        return value <= self.goal if "loss" in self.figure else value >= self.goal

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"plan": self.plan.as_json()}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "SequenceRecipe":
        return cls(**{**record, "plan": Plan.from_json(record["plan"])})


ADAM = Plan(
    optimizer="adamw",
    peak_lr=2e-3,
    momentum=0.9,
    nesterov=False,
    weight_decay=1e-2,
    warmup_epochs=0.5,
    clip_norm=1.0,
)


def names() -> SequenceRecipe:
    """The language of a surname, from its letters."""
    return SequenceRecipe(
        name="names", kind="surnames", batch_size=64, figure="macro",
        plan=replace(ADAM, epochs=16, peak_lr=3e-3, clip_norm=5.0),
        net={"hidden": 128, "symbol_width": 48, "bidirectional": True, "dropout": 0.3},
    )  # fmt: skip


def fsdd() -> SequenceRecipe:
    """A spoken digit, by a GRU that reads the log-mel picture in both directions."""
    return SequenceRecipe(
        name="fsdd", kind="spoken", batch_size=32, goal=0.987,
        plan=replace(ADAM, epochs=40, peak_lr=3e-3, warmup_epochs=2),
        net={"hidden": 96, "layers": 2, "bidirectional": True, "dropout": 0.3},
    )  # fmt: skip


def fsdd_cnn() -> SequenceRecipe:
    """The same clips by a small convolutional network, beside the GRU; of its gradients the bound cut all."""
    return replace(
        fsdd(), name="fsdd-cnn", goal=None, plan=replace(fsdd().plan, clip_norm=10.0),
        net={"width": 24, "dropout": 0.2}, options={"network": "MelCNN"},
    )  # fmt: skip


def rows() -> SequenceRecipe:
    """MNIST read row by row, 28 steps of 28 pixels."""
    return SequenceRecipe(
        name="mnist-rows", kind="pixels", batch_size=128, goal=0.988,
        plan=replace(ADAM, epochs=8, peak_lr=3e-3),
        net={"hidden": 128, "dropout": 0.1}, options={"by": "rows"},
    )  # fmt: skip


def pixels() -> SequenceRecipe:
    """MNIST read pixel by pixel, 784 steps (Le, Jaitly and Hinton 2015: 97 % by an IRNN). For a GPU."""
    return SequenceRecipe(
        name="mnist-pixels", kind="pixels", batch_size=128, goal=0.985,
        plan=replace(ADAM, epochs=40, peak_lr=1e-3, warmup_epochs=2),
        net={"hidden": 256}, options={"by": "pixels"},
    )  # fmt: skip


def pos() -> SequenceRecipe:
    """Parts of speech of English, by words and their letters, without vectors from elsewhere."""
    return SequenceRecipe(
        name="pos", kind="tagging", batch_size=32, goal=0.945,
        plan=replace(ADAM, epochs=12, peak_lr=3e-3, clip_norm=5.0),
        net={"hidden": 160, "word_width": 100, "letter_width": 32, "letter_hidden": 64, "dropout": 0.4},
    )  # fmt: skip


def scan() -> SequenceRecipe:
    """Commands to actions, with attention; commands not seen, of kinds that were."""
    return SequenceRecipe(
        name="scan", kind="commands", batch_size=64, goal=0.995,
        plan=replace(ADAM, epochs=30, peak_lr=2e-3, clip_norm=20.0, weight_decay=1e-3),
        net={"hidden": 160, "width": 64, "attention": True, "dropout": 0.0}, options={"split": "simple"},
    )  # fmt: skip


def scan_length() -> SequenceRecipe:
    """The same, asked for longer answers than any that was learned (Lake and Baroni 2018: 13.8 to 20.8 %)."""
    return replace(scan(), name="scan-length", goal=None, options={"split": "length"})


def shakespeare() -> SequenceRecipe:
    """Shakespeare, letter by letter, in minutes on two cores."""
    return SequenceRecipe(
        name="shakespeare", kind="characters", batch_size=64, figure="valid_loss", goal=1.60,
        plan=replace(ADAM, epochs=6, peak_lr=5e-3, warmup_epochs=0.2),
        net={"hidden": 320, "width": 64, "dropout": 0.1}, options={"n_steps": 80},
    )  # fmt: skip


def shakespeare_gpu() -> SequenceRecipe:
    """The same with a larger network, for a GPU: toward 1.45."""
    return replace(
        shakespeare(), name="shakespeare-gpu", goal=1.45, batch_size=64,
        plan=replace(ADAM, epochs=40, peak_lr=2e-3, weight_decay=5e-2, warmup_epochs=1),
        net={"hidden": 768, "layers": 2, "width": 128, "dropout": 0.5}, options={"n_steps": 128},
    )  # fmt: skip


def adding() -> SequenceRecipe:
    """The sum of two marked numbers among 600."""
    return SequenceRecipe(
        name="adding", kind="memory", batch_size=50, figure="loss", goal=1e-3,
        plan=replace(ADAM, epochs=40, peak_lr=2e-3, weight_decay=0.0, warmup_epochs=1),
        net={"hidden": 64, "memory": 600.0}, options={"problem": "adding", "length": 600, "n_batches": 100},
    )  # fmt: skip


def copying() -> SequenceRecipe:
    """Ten symbols, said again after 100 steps of nothing."""
    return replace(
        adding(), name="copying", goal=None, plan=replace(adding().plan, epochs=20),
        options={"problem": "copying", "length": 100, "n_batches": 100},
        net={"hidden": 128, "width": 16, "memory": 100.0},
    )  # fmt: skip


def captions() -> SequenceRecipe:
    """What stands where in a picture of up to three handwritten digits, in arrangements never seen."""
    return SequenceRecipe(
        name="captions", kind="captions", batch_size=32, figure="exact", goal=0.95,
        plan=replace(ADAM, epochs=120, peak_lr=3e-3, warmup_epochs=1, clip_norm=20.0),
        net={"width": 64, "hidden": 128, "dropout": 0.0}, options={"images": "mnist", "n_scenes": 6_000},
    )  # fmt: skip


def captions_signs() -> SequenceRecipe:
    """The same with photographs of hands that show digits, in colour."""
    return replace(captions(), name="captions-signs", options={"images": "signs", "n_scenes": 6_000})


def captions_folder() -> SequenceRecipe:
    """Photographs with the caption file of Flickr8k or COCO, as they are published. For a GPU."""
    return replace(
        captions(), name="captions-folder", kind="photographs", figure="bleu", goal=None,
        plan=replace(captions().plan, epochs=60),
        net={"width": 256, "hidden": 512, "dropout": 0.4},
        options={"size": 128, "least": 5},
    )  # fmt: skip


def with_rnn(recipe: SequenceRecipe) -> SequenceRecipe:
    """The same with a plain recurrent layer, to stand beside the gated one."""
    return replace(recipe, name=f"{recipe.name}-rnn", net={**recipe.net, "cell": "RNN"}, goal=None)


def without_attention(recipe: SequenceRecipe) -> SequenceRecipe:
    net = {**recipe.net, "attention": False}
    return replace(recipe, name=f"{recipe.name}-plain", net=net, goal=None)


def smoke(recipe: SequenceRecipe) -> SequenceRecipe:
    """The same in seconds: two epochs on little. Shows that it runs, reaches no goal."""
    small = {"hidden": 16} if "hidden" in recipe.net else {}
    few = {"length": 20, "n_batches": 4, "n_steps": 20, "n_scenes": 128}
    return replace(
        recipe, name=f"{recipe.name} (smoke)", goal=None, n_train=160, n_test=80, batch_size=16,
        plan=replace(recipe.plan, epochs=2, warmup_epochs=0.2), net={**recipe.net, **small},
        options={key: few.get(key, value) for key, value in recipe.options.items()},
    )  # fmt: skip


def within(recipe: SequenceRecipe, epochs: int) -> SequenceRecipe:
    """The same with another budget: `Plan.within`."""
    return replace(recipe, plan=recipe.plan.within(epochs))


RECIPES: Mapping[str, Callable[[], SequenceRecipe]] = {
    "names": names,
    "fsdd": fsdd,
    "fsdd-cnn": fsdd_cnn,
    "mnist-rows": rows,
    "mnist-rows-rnn": lambda: with_rnn(rows()),
    "mnist-pixels": pixels,
    "mnist-pixels-rnn": lambda: with_rnn(pixels()),
    "pos": pos,
    "scan": scan,
    "scan-plain": lambda: without_attention(scan()),
    "scan-length": scan_length,
    "scan-length-plain": lambda: without_attention(scan_length()),
    "shakespeare": shakespeare,
    "shakespeare-rnn": lambda: with_rnn(shakespeare()),
    "shakespeare-gpu": shakespeare_gpu,
    "adding": adding,
    "adding-rnn": lambda: with_rnn(adding()),
    "copying": copying,
    "copying-rnn": lambda: with_rnn(copying()),
    "captions": captions,
    "captions-signs": captions_signs,
    "captions-folder": captions_folder,
}
