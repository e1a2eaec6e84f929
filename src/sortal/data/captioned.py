"""A folder of images with the caption file of Flickr8k or COCO, as they are published.

captions.txt                 image,caption on each line, a line of names first (Flickr8k as Kaggle has it)
Flickr8k.token.txt           image.jpg#0, a tab, a caption (Flickr8k's own)
captions_*.json              COCO: {"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}

Images may lie anywhere below the folder.
"""

import csv
import json
import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from sortal.data.lines import read_text
from sortal.data.shown import shown
from sortal.errors import DataError, InputError

__all__ = ["Captioned", "load_captions", "words_of"]

Captions = dict[str, list[str]]


@dataclass(frozen=True)
class Captioned:
    """`captions[i]` are those of `images[i]`; `missing` are images named there that the folder lacks."""

    images: tuple[Path, ...]
    captions: tuple[tuple[str, ...], ...]
    missing: tuple[str, ...]


def load_captions(folder: str | os.PathLike[str], *, skip_missing: bool = False) -> Captioned:
    """Images and their captions, sorted by file name.

    `InputError`: there is no caption file, none or several; it names images that are not there, unless they
    are to be skipped, which is counted in `missing`.
    """
    folder = Path(folder)
    file = _caption_file(folder)
    captions = _read(file)
    below = {path.name: path for path in sorted(folder.rglob("*")) if path.is_file()}
    missing = tuple(sorted(name for name in captions if Path(name).name not in below))
    there = sorted(set(captions) - set(missing))
    if not there or (missing and not skip_missing):
        listed = ", ".join(shown(name) for name in missing[:5])
        raise InputError(
            f"{shown(file.name)} must name images below {shown(str(folder))}; {len(missing):,} of "
            f"{len(captions):,} "
            f"are not there: {listed}. Add them, or skip them (skip_missing)."
        )
    return Captioned(
        images=tuple(below[Path(name).name] for name in there),
        captions=tuple(tuple(captions[name]) for name in there), missing=missing,
    )  # fmt: skip


def words_of(caption: str) -> tuple[str, ...]:
    """Words in lower case, marks parted from them: "A dog's ball." is a, dog, 's, ball, "."."""
    import re

    return tuple(re.findall(r"'?\w+|[^\w\s]", caption.lower()))


def _caption_file(folder: Path) -> Path:
    patterns = ("captions.txt", "*.token.txt", "captions_*.json")
    found = sorted(path for pattern in patterns for path in folder.rglob(pattern))
    if len(found) != 1:
        what = ", ".join(shown(path.name) for path in found[:5]) or "none"
        raise InputError(
            f"{shown(str(folder))} must hold one caption file (captions.txt, *.token.txt or "
            "captions_*.json); it holds "
            f"{what}."
        )
    return found[0]


def _read(file: Path) -> Captions:
    text, name = read_text(file), shown(file.name)
    pairs: list[tuple[str, str]] = []
    if file.suffix == ".json":
        pairs = _coco(text, name)
    elif file.name == "captions.txt":
        for number, row in enumerate(csv.reader(text.splitlines()), 1):
            if len(row) < 2:
                raise DataError(
                    f"{name} line {number:,} must read image,caption; got {shown(','.join(row)[:60])!r}."
                )
            if number > 1 or Path(row[0]).suffix:  # the first line says what the columns are
                pairs.append((row[0], ",".join(row[1:])))
    else:
        for number, line in enumerate(text.splitlines(), 1):
            image, parted, caption = line.partition("\t")
            if not parted:
                raise DataError(
                    f"{name} line {number:,} must have a tab before the caption; got {shown(line[:60])!r}."
                )
            pairs.append((image.rpartition("#")[0] or image, caption))
    captions: Captions = defaultdict(list)
    for image, caption in pairs:
        if caption.strip():
            captions[image].append(caption.strip())
    return dict(captions)


def _coco(text: str, name: str) -> list[tuple[str, str]]:
    try:
        record = json.loads(text)
        files = {one["id"]: str(one["file_name"]) for one in record["images"]}
        return [(files[one["image_id"]], str(one["caption"])) for one in record["annotations"]]
    except (ValueError, KeyError, TypeError) as e:
        raise DataError(f"{name} must be COCO's caption file; {type(e).__name__} {str(e)[:80]}.") from e
