"""Commands to actions (SCAN): an answer counts as right only if all of it is."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from sortal.data.commands import Command, read_commands
from sortal.data.lines import plain_or_gzipped
from sortal.data.vocabulary import END, Vocabulary
from sortal.errors import InputError
from sortal.nets.translator import Translator
from sortal.tasks import Write, beam_search, greedy
from sortal.train.device import Device
from sortal.train.loop import judge as judged
from sortal.train.sequence import stand_ins
from sortal.train.sequence.prepared import Figures, Prepared, counted_unknown, folder_of, padded
from sortal.train.sequence.recipes import SequenceRecipe
from sortal.train.sequence_batches import SequenceBatches

__all__ = ["prepare", "translated"]

LONGEST = 60  # actions that are written at most: the longest of SCAN has 48


def prepare(recipe: SequenceRecipe, data: Path | None) -> Prepared:
    learned, tested = _parts(recipe, data)
    learned, tested = learned[: recipe.n_train], tested[: recipe.n_test]
    words = Vocabulary.of(one.words for one in learned)
    actions = Vocabulary.of(one.actions for one in learned)

    def batches(commands: list[Command], *, shuffled: bool) -> SequenceBatches:
        columns = {
            "inputs": [words.numbers(one.words) for one in commands],
            "targets": [actions.ended(one.actions) for one in commands],
        }
        return SequenceBatches(columns, recipe.batch_size, shuffled=shuffled, seed=recipe.plan.seed)

    learn, test = batches(learned, shuffled=True), batches(tested, shuffled=False)
    facts = (
        f"{len(learned):,} commands to learn from, {len(tested):,} to test",
        counted_unknown(words, [one.words for one in tested], "words"),
        padded(learn),
    )

    def judge(net: nn.Module, device: Device) -> Figures:
        loss, right = judged(net, Write("translate"), test, device)
        return Figures({"right": right, "loss": loss})

    return Prepared(
        network="Translator", options={"words": len(words), "symbols": len(actions), **recipe.net},
        task=Write("translate"), learn=learn, judge=judge, symbols={"words": words, "actions": actions},
        facts=facts,
    )  # fmt: skip


@torch.inference_mode()
def translated(
    net: nn.Module, words: tuple[str, ...], symbols: Mapping[str, Vocabulary], beam: int = 1
) -> tuple[list[str], int]:
    """What the network writes for a command, and how many of its words it does not know."""
    if not words:
        raise InputError("a command must have a word; it is empty.")
    assert isinstance(net, Translator)
    net.eval()
    state = net.read(torch.from_numpy(symbols["words"].numbers(words))[None])
    found = greedy(net, state, LONGEST)[0] if beam == 1 else beam_search(net, state, LONGEST, beam)[0][0]
    return symbols["actions"].text([*found, END]), symbols["words"].n_unknown([words])


def _parts(recipe: SequenceRecipe, data: Path | None) -> tuple[list[Command], list[Command]]:
    if data is None:
        whole = stand_ins.commands()
        return whole[:120], whole[120:]
    folder, split = folder_of(data, "scan"), recipe.options["split"]
    learn, test = (
        read_commands(plain_or_gzipped(folder / f"{split}-{part}.txt")) for part in ("train", "test")
    )
    return learn, test
