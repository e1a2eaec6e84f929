"""Small data of the right form for smoke runs, made here or out of what scikit-learn ships."""

import itertools

import numpy as np

from sortal.data import LabelledImages
from sortal.data.commands import Command
from sortal.data.conllu import Sentence
from sortal.data.spoken_digits import RATE, SpokenDigits
from sortal.data.surnames import Surnames

__all__ = ["commands", "digits", "sentences", "spoken_digits", "surnames", "text"]


def surnames() -> Surnames:
    """Two made-up languages, told apart by their endings; a few names are of both."""
    heads = ["".join(pair) for pair in itertools.product("bdfklmnprst", "aeiou")]
    names = [
        f"{a}{b}{end}".title() for end in ("ov", "ini") for a, b in itertools.product(heads[:12], heads[5:15])
    ]
    labels = np.repeat([0, 1], len(names) // 2)
    return Surnames((*names, names[0]), np.append(labels, 1), ("Ovian", "Inian"), 0, 0)


def spoken_digits() -> SpokenDigits:
    """A tone of its own for each digit, of unequal length, with noise; two speakers, ten takes."""
    chance = np.random.default_rng(0)
    which = list(itertools.product(range(10), ("high", "low"), range(10)))
    waves = []
    for digit, speaker, _ in which:
        t = np.arange(chance.integers(1_500, 4_000)) / RATE
        pitch = (250 if speaker == "low" else 300) * 1.25**digit
        waves.append((np.sin(2 * np.pi * pitch * t) + chance.normal(0, 0.1, len(t))).astype(np.float32))
    labels, speakers, takes = zip(*which)
    return SpokenDigits(tuple(waves), np.array(labels), speakers, np.array(takes))


def digits() -> tuple[LabelledImages, LabelledImages]:
    """scikit-learn's 1,797 digits of 8 x 8."""
    from sklearn.datasets import load_digits

    found = load_digits()
    pixels = np.asarray(found.images * (255 / 16)).astype(np.uint8)[..., None]
    whole = LabelledImages(pixels, found.target.astype(np.int64), tuple("0123456789"))
    return whole.take(np.arange(1_200)), whole.take(np.arange(1_200, len(pixels)))


def sentences() -> list[Sentence]:
    """A small grammar in which an ending says the part of speech, and so does the place."""
    parts = {
        "DET": ["the", "a", "every", "no"],
        "ADJ": [f"{stem}ish" for stem in ("blu", "gre", "sma", "tal", "war", "odd")],
        "NOUN": [f"{stem}er" for stem in ("bak", "run", "teach", "farm", "sing", "paint", "build")],
        "VERB": [f"{stem}s" for stem in ("see", "hear", "know", "like", "help", "find", "meet")],
        "PUNCT": ["."],
    }
    form = ("DET", "ADJ", "NOUN", "VERB", "DET", "NOUN", "PUNCT")
    chance = np.random.default_rng(0)
    return [Sentence(tuple(str(chance.choice(parts[tag])) for tag in form), form) for _ in range(300)]


def commands() -> list[Command]:
    """All of `jump twice and walk` and the like, in random order."""
    one = [
        (f"{verb} {often}".strip(), (f"I_{verb.upper()}",) * times)
        for verb in ("jump", "walk", "run", "look")
        for often, times in (("", 1), ("twice", 2), ("thrice", 3))
    ]
    both = [(f"{a} and {b}", (*did, *then)) for (a, did), (b, then) in itertools.product(one, one)]
    found = [Command(tuple(words.split()), actions) for words, actions in one + both]
    return [found[i] for i in np.random.default_rng(0).permutation(len(found))]


def text() -> str:
    """scikit-learn's descriptions of its data sets, some 30,000 characters of English."""
    from sklearn import datasets

    loaders = (datasets.load_iris, datasets.load_wine, datasets.load_breast_cancer, datasets.load_digits)
    return "\n".join(loader().DESCR for loader in (*loaders, datasets.load_diabetes, datasets.load_linnerud))
