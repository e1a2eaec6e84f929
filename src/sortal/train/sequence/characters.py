"""The next character of a text; the last tenth of it only judges."""

from pathlib import Path

from torch import nn

from sortal.data.lines import read_text
from sortal.data.vocabulary import UNKNOWN, Vocabulary
from sortal.errors import InputError
from sortal.tasks import LanguageModel, bits, sample
from sortal.train.device import Device
from sortal.train.loop import judge as judged
from sortal.train.sequence import stand_ins
from sortal.train.sequence.prepared import Figures, Prepared, counted_unknown, folder_of
from sortal.train.sequence.recipes import SequenceRecipe
from sortal.train.sequence_batches import TextBatches

__all__ = ["parts_of", "prepare", "sampled"]

N_SHOWN = 400


def prepare(recipe: SequenceRecipe, data: Path | None) -> Prepared:
    learned, held = parts_of(_text(data) if data else stand_ins.text())
    if recipe.n_train is not None:  # for smoke: some pages
        learned, held = learned[:20_000], held[:2_000]
    symbols = Vocabulary.of([learned])
    n_steps = recipe.options["n_steps"]
    learn = TextBatches(symbols.numbers(learned), recipe.batch_size, n_steps, seed=recipe.plan.seed)
    # In few rows: each begins without a state, which costs its first characters.
    valid = TextBatches(symbols.numbers(held), 8, n_steps, shuffled=False)
    facts = (
        f"{len(learned):,} characters to learn from, {len(held):,} to judge by, {len(symbols.symbols)} kinds",
        counted_unknown(symbols, [held], "characters"),
    )

    def judge(net: nn.Module, device: Device) -> Figures:
        loss, right = judged(net, LanguageModel(), valid, device)
        text = sampled(net, symbols, held[:1], N_SHOWN, temperature=0.8)
        numbers = {"valid_loss": loss, "bits": bits(loss), "right": right}
        return Figures(numbers, tuple(text.splitlines()))

    return Prepared(
        network="SymbolModel", options={"symbols": len(symbols), **recipe.net}, task=LanguageModel(),
        learn=learn, valid=valid, judge=judge, symbols={"characters": symbols}, facts=facts,
    )  # fmt: skip


def parts_of(text: str) -> tuple[str, str]:
    """The first nine tenths, and the rest."""
    cut = len(text) * 9 // 10
    return text[:cut], text[cut:]


def sampled(
    net: nn.Module, symbols: Vocabulary, start: str, n: int, *, temperature: float = 1.0,
    top_k: int | None = None, seed: int = 0,
) -> str:  # fmt: skip
    """`start` and `n` characters that the network goes on with."""
    numbers = symbols.numbers(start).tolist()
    if UNKNOWN in numbers:
        unknown = start[numbers.index(UNKNOWN)]
        raise InputError(
            f"start must hold characters of the text that was learned; {unknown!r} is none of them."
        )
    found = sample(net, numbers, n, temperature=temperature, top_k=top_k, seed=seed)
    return start + "".join(symbols.symbols[i - 4] for i in found)


def _text(data: Path) -> str:
    if data.is_file():
        return read_text(data)
    return read_text(folder_of(data, "text") / "tinyshakespeare.txt")
