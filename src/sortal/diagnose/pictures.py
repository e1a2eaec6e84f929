"""Filters, maps and evidence as pictures: arrays in, RGB arrays out."""

import io
import math

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

__all__ = ["colored", "filter_sheet", "map_sheet", "overlay", "png", "shown_maps"]

GAP, PAPER = 3, 251  # pixels between tiles, and their colour: that of the page
# Black to light yellow, evenly lighter to the eye; six colours of matplotlib's "inferno" (CC0).
INFERNO = np.array(
    [(0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164)], float
)

Picture = UInt8[np.ndarray, "h w 3"]


def filter_sheet(filters: Float[np.ndarray, "n c h w"], *, most: int = 96, edge: int = 44) -> Picture:
    """At most `most` filters as tiles. Zero is grey; each is stretched until its largest weight is 1.

    Filters of three channels are shown in colour, each channel of others as a tile of its own.
    """
    tiles = filters if filters.shape[1] == 3 else filters.reshape(-1, 1, *filters.shape[2:])
    tiles = tiles[:most]
    largest = np.abs(tiles).max(axis=(1, 2, 3), keepdims=True)
    scaled = 0.5 + 0.5 * tiles / np.where(largest > 0, largest, 1)
    return _sheet([_enlarged(_bytes(255 * one.transpose(1, 2, 0)), edge) for one in scaled])


def shown_maps(maps: Float[np.ndarray, "c h w"], most: int) -> np.ndarray:
    """Numbers of the `most` maps that differ most from place to place, in their own order."""
    return np.sort(np.argsort(-maps.std(axis=(1, 2)), kind="stable")[:most])


def map_sheet(maps: Float[np.ndarray, "c h w"], *, most: int = 16, edge: int = 64) -> Picture:
    """The `most` maps that differ most from place to place; dark is nothing, light its largest value."""
    tiles = np.maximum(maps[shown_maps(maps, most)], 0)  # what is below zero goes no further
    return _sheet([_enlarged(colored(one), edge) for one in tiles], columns=8)


def overlay(image: Picture, evidence: Float[np.ndarray, "h w"] | None, *, edge: int = 224) -> Picture:
    """`image`, smoothly enlarged, with the evidence in colour over it; without evidence as it is."""
    width, height = _size(image, edge)
    base = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR), float)
    if evidence is None:
        return _bytes(base)
    grey = np.repeat(base.mean(axis=2, keepdims=True), 3, axis=2)
    largest = float(evidence.max())
    heat = Image.fromarray((evidence / (largest if largest > 0 else 1)).astype(np.float32))
    share = np.asarray(heat.resize((width, height), Image.Resampling.BILINEAR)).clip(0, 1)
    alpha = 0.65 * share[..., None]
    return _bytes((1 - alpha) * (0.6 * grey + 0.4 * base) + alpha * colored(share))


def colored(values: Float[np.ndarray, "h w"]) -> Picture:
    """Black for 0, light yellow for the largest value; all black where nothing is above 0."""
    largest = float(values.max())
    place = np.clip(values / (largest if largest > 0 else 1), 0, 1) * (len(INFERNO) - 1)
    channels = [np.interp(place, np.arange(len(INFERNO)), INFERNO[:, i]) for i in range(3)]
    return _bytes(np.stack(channels, axis=2))


def png(picture: UInt8[np.ndarray, "h w c"]) -> bytes:
    """The picture as a file; one channel is grey."""
    out = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture).save(out, "PNG")
    return out.getvalue()


def _bytes(values: np.ndarray) -> np.ndarray:
    rounded: np.ndarray = np.rint(values).astype(np.uint8)
    return rounded


def _enlarged(tile: np.ndarray, edge: int) -> Picture:
    """`tile`, grey or in colour, its pixels kept square; smaller where its longer side is above `edge`."""
    colour = tile if tile.shape[2] == 3 else np.repeat(tile, 3, axis=2)
    if max(tile.shape[:2]) > edge:
        return np.asarray(Image.fromarray(colour).resize(_size(tile, edge), Image.Resampling.BOX))
    times = round(edge / max(tile.shape[:2]))
    return colour.repeat(times, axis=0).repeat(times, axis=1)


def _size(image: np.ndarray, edge: int) -> tuple[int, int]:
    """Width and height with the longer one `edge`."""
    height, width = image.shape[:2]
    scale = edge / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _sheet(tiles: list[Picture], columns: int | None = None) -> Picture:
    """Tiles of one size in rows."""
    columns = min(len(tiles), columns or max(8, math.ceil(1.6 * len(tiles) ** 0.5)))
    rows = -(-len(tiles) // columns)
    height, width = tiles[0].shape[:2]
    sheet = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), PAPER, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = i // columns * (height + GAP), i % columns * (width + GAP)
        sheet[top : top + height, left : left + width] = tile
    return sheet
