"""What captions are judged by, and how a trained captioner is used."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sortal.data import ImageInput, decode_image, prepare, shown
from sortal.data.vocabulary import END, Vocabulary
from sortal.errors import InputError, MissingExtra, Unreadable
from sortal.nets.captioner import Captioner
from sortal.tasks import beam_search, greedy
from sortal.train.device import Device
from sortal.train.sequence.prepared import Figures

__all__ = ["bleu", "caption_files", "captioned", "check_bleu", "figures", "scaled"]

LONGEST = 40  # words that are written at most; a scene has up to 17
BEAM = 4


def check_bleu() -> None:
    """`MissingExtra` before a training whose figures could not be computed."""
    if find_spec("sacrebleu") is None:
        raise MissingExtra("BLEU of captions", "sequence")


def bleu(said: list[tuple[str, ...]], right: list[list[tuple[str, ...]]]) -> float:
    """BLEU of a corpus, 0 to 100, by sacrebleu, whose figures others can repeat."""
    import sacrebleu

    most = max(map(len, right))
    # sacrebleu wants a list for each reference; an answer that has fewer repeats its first.
    streams = [[" ".join((each + each[:1] * most)[i]) for each in right] for i in range(most)]
    found = sacrebleu.corpus_bleu([" ".join(one) for one in said], streams, tokenize="none", force=True)
    return float(found.score)


@torch.inference_mode()
def captioned(net: Captioner, images: Tensor, words: Vocabulary, beam: int = 1) -> list[tuple[str, ...]]:
    """Words for each image (B, c, size, size), written greedily or by a beam."""
    net.eval()
    state = net.read(images)
    if beam == 1:
        found = greedy(net, state, LONGEST)
    else:
        found = [one for one, _ in beam_search(net, state, LONGEST, beam)]
    return [tuple(words.text([*one, END])) for one in found]


def caption_files(
    net: nn.Module, paths: Sequence[str], words: Vocabulary, beam: int = 1
) -> list[tuple[str, ...]]:
    """Words for each image file, squeezed into the network's size. `InputError` where one cannot be read."""
    assert isinstance(net, Captioner)
    images = []
    for path in paths:
        try:
            pixels = prepare(decode_image(Path(path).read_bytes()), ImageInput((net.size, net.size)))
        except (OSError, Unreadable) as e:
            reason = e.strerror if isinstance(e, OSError) and e.strerror else e
            raise InputError(f"{shown(path)} must be an image; {reason}.") from e
        gray = pixels if net.in_channels == 3 else pixels.mean(2, keepdims=True).astype(np.uint8)
        images.append(scaled(gray[None]))
    return captioned(net, torch.cat(images), words, beam)


def figures(
    net: nn.Module, right: list[list[tuple[str, ...]]], inputs: list[Tensor], words: Vocabulary,
    device: Device,
) -> Figures:  # fmt: skip
    """Shares that say one of the right captions word by word, and BLEU, written greedily and by a beam."""
    assert isinstance(net, Captioner)

    def said(beam: int) -> list[tuple[str, ...]]:
        return [one for part in inputs for one in captioned(net, part.to(device.device), words, beam)]

    def exact(answers: list[tuple[str, ...]]) -> float:
        return float(np.mean([one in known for one, known in zip(answers, right)]))

    greedily, searched = said(1), said(BEAM)
    numbers = {
        "exact": exact(greedily), "exact by beam": exact(searched),
        "bleu": bleu(greedily, right), "bleu by beam": bleu(searched, right),
    }  # fmt: skip
    wrong = [(one, known[0]) for one, known in zip(greedily, right) if one not in known]
    lines = [f"wrote {' '.join(one)!r} for {' '.join(known)!r}" for one, known in wrong[:5]]
    return Figures(numbers, tuple(lines))


def scaled(pixels: np.ndarray) -> Tensor:
    """uint8 (B, h, w, c) as float (B, c, h, w), 0 to 1."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float() / 255
