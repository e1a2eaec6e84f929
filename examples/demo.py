"""The main job on real image files: handwritten digits become groups, names and a classifier.

    python examples/demo.py FOLDER

Writes scikit-learn's 1,797 digits as PNG files into FOLDER and leaves a pile, a model and a page to open.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

import sortal
from sortal.cluster import agreement


def write_digits(folder: Path, share: slice) -> list[int]:
    """The digits as 8x8 PNG files, 0..16 levels stretched to 0..255; their true names stay with us."""
    digits = load_digits()
    folder.mkdir(parents=True)
    for i in range(1797)[share]:
        Image.fromarray((digits.images[i] * 255 / 16).astype(np.uint8)).save(folder / f"{i:04d}.png")
    return [int(digit) for digit in digits.target[share]]


def main(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    truth = write_digits(folder / "digits", slice(0, 1500))
    new_truth = write_digits(folder / "new", slice(1500, None))

    pile = sortal.organize(folder / "digits", k=10)
    found = agreement(np.array(truth), pile.labels)
    print(f"{len(pile):,} images in {len(pile.groups)} groups, without a label or a weight")
    print(f"they agree with the true digits: matched accuracy {found.accuracy:.3f}, NMI {found.nmi:.3f}")

    for group in pile.groups:  # what a person does, looking at the typical members of each group
        looks_like = truth[group.shape.typical[0]]
        pile.name(group.number, str(looks_like))

    report = pile.train(folder / "digits.model").report
    low, high = report.interval
    print(
        f"classifier from these names: {report.accuracy:.3f} on held-out items "
        f"(95 %: {low:.3f} to {high:.3f})"
    )

    answers = sortal.load(folder / "digits.model").predict(folder / "new").predictions
    right = np.mean([answer.name == str(digit) for answer, digit in zip(answers, new_truth)])
    print(
        f"297 new images: {right:.3f} named right, "
        f"{sum(answer.like_nothing_shown for answer in answers)} like nothing shown"
    )

    pile.write_report(folder / "report.html")
    print(f"open {folder / 'report.html'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
