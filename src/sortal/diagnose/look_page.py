"""The pictures of a look at a network, and the page that holds them."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sortal.diagnose.look import answers, depths, evidence, feature_maps, filters
from sortal.diagnose.pictures import filter_sheet, map_sheet, overlay, png, shown_maps
from sortal.diagnose.subject import Subject
from sortal.errors import InputError, StoreError
from sortal.nets.arithmetic import count
from sortal.page import Picture, Section, page
from sortal.whole import checked_target, write_whole

__all__ = ["Look", "look", "write_look"]


@dataclass(frozen=True)
class Look:
    """What was found, as arrays: filters, maps by layer, evidence by class, probabilities of the classes."""

    subject: Subject
    filters: np.ndarray
    maps: dict[str, np.ndarray]
    sees: dict[str, int | None]  # pixels along an axis that one place of the layer sees
    evidence: dict[int, np.ndarray]
    layer: str  # of the evidence
    answers: np.ndarray

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(self.maps)

    def as_json(self) -> dict[str, Any]:
        return {
            "network": self.subject.name,
            "weights": self.subject.weights,
            "size": list(self.subject.pixels.shape[:2]),
            "filters": list(self.filters.shape),
            "layers": [
                {"name": name, "shape": list(maps.shape), "sees": self.sees[name]}
                for name, maps in self.maps.items()
            ],
            "evidence_layer": self.layer,
            "classes": [
                {"number": number, "probability": float(self.answers[number])} for number in self.evidence
            ],
        }


def look(found: Subject, *, classes: tuple[int, ...] = (), layer: str | None = None) -> Look:
    """Filters, maps and evidence of a network for an image; the three likeliest classes if none are given."""
    net, image = found.net, found.image
    probable = answers(net, image)
    numbers = classes or tuple(np.argsort(-probable, kind="stable")[:3].tolist())
    for number in numbers:
        if not 0 <= number < len(probable):
            raise InputError(f"class must be a number from 0 to {len(probable) - 1}; got {number}.")
    layers = depths(net, image)
    layer = layer or layers[-1]
    shown = {number: evidence(net, image, number, layer) for number in numbers}
    return Look(
        found, filters(net), feature_maps(net, image, layers), _sees(found, layers), shown, layer, probable
    )


def _sees(found: Subject, layers: tuple[str, ...]) -> dict[str, int | None]:
    """Pixels along an axis that one place sees: of a container, what its last layer sees."""
    counted = count(found.net, tuple(found.image.shape)).layers
    sees: dict[str, int | None] = dict.fromkeys(layers)
    for one in counted:
        for name in layers:
            if one.receptive_field and (one.name == name or one.name.startswith(f"{name}.")):
                sees[name] = one.receptive_field[0]
    return sees


def write_look(target: str | os.PathLike[str], found: Look) -> Path:
    """A page at `target` if it ends in .html, else a folder with page and pictures; the page's path."""
    path = Path(target)
    sections = _sections(found)
    if path.suffix.lower() in (".html", ".htm"):
        path = checked_target(path)
    else:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise StoreError(f"{path} cannot be made: {e.strerror}; choose another place.") from e
        for section in sections:
            for picture in section.pictures:
                write_whole(path / picture.file, picture.png)
        path /= "index.html"
    title = f"What {found.subject.name} sees"
    write_whole(path, page(title, _verdict(found), sections, _facts(found)).encode())
    return path


def _verdict(found: Look) -> tuple[str, ...]:
    if not found.subject.learned:
        return ("Its weights are drawn, not learned: these pictures show what chance looks like.",)
    best = int(found.answers.argmax())
    return (f"It says {found.subject.called(best)}, with probability {found.answers[best]:.0%}.",)


def _sections(found: Look) -> tuple[Section, ...]:
    return _evidence(found), _filters(found), _maps(found)


def _evidence(found: Look) -> Section:
    pixels = found.subject.pixels
    image = pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)
    size = f"{pixels.shape[0]} x {pixels.shape[1]}"
    plain = overlay(image, None)
    pictures = [Picture("image.png", png(plain), f"as the network sees it, {size} pixels", 224)]
    for number, where in found.evidence.items():
        none = "" if where.max() > 0 else "; nothing speaks for it"
        caption = f"{found.subject.called(number)}, probability {found.answers[number]:.1%}{none}"
        pictures.append(Picture(f"evidence-{number}.png", png(overlay(image, where)), caption, 224))
    height, width = next(iter(found.evidence.values())).shape
    text = (
        f"Light is where the maps of {found.layer} ({height} x {width} places) raise the score of the class "
        "(Grad-CAM, Selvaraju et al. 2017). Each picture is scaled to its own largest value.",
    )
    return Section("Where the evidence lies", text, tuple(pictures))


def _filters(found: Look) -> Section:
    n, channels, height, width = found.filters.shape
    caption = f"{n} filters of {height} x {width} over {channels} channel{'s' if channels > 1 else ''}."
    text = ("The weights of the first convolution. Grey is zero; trained ones show edges and colours.",)
    return Section(
        "First filters", text, (Picture("filters.png", png(filter_sheet(found.filters)), caption),)
    )


def _maps(found: Look) -> Section:
    pictures = []
    for i, (name, maps) in enumerate(found.maps.items(), 1):
        c, height, width = maps.shape
        sees = found.sees[name]
        reach = f"; each place sees {sees} x {sees} pixels" if sees else ""
        chosen = "all" if c <= 16 else f"{len(shown_maps(maps, 16))} of"
        caption = f"{name}: {chosen} {c} maps of {height} x {width}{reach}."
        pictures.append(Picture(f"maps-{i}.png", png(map_sheet(maps)), caption))
    text = (
        "From the image to the answer: early maps follow edges and colours, later ones are coarser and "
        "answer to larger parts. Those that differ most from place to place are shown.",
    )
    return Section("Maps by depth", text, tuple(pictures))


def _facts(found: Look) -> list[tuple[str, str]]:
    normalize = found.subject.normalize
    return [
        ("network", found.subject.name),
        ("weights", found.subject.weights),
        ("normalised by", f"mean {normalize.mean}, deviation {normalize.std}"),
    ]
