"""Images changed in ways that leave their name as it is, a whole batch at once."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sortal.errors import InputError

if TYPE_CHECKING:
    from torch import Generator, Tensor

__all__ = ["Augment", "augment", "usual_augment"]


@dataclass(frozen=True)
class Augment:
    """By how much images may change; nothing at all by default.

    `shift`: pixels on each axis. `mirror`: left and right swapped, half of the time; never right for digits
    and text. `crop`: the least share of each side that a window keeps, which is then enlarged. `turn`:
    degrees. `zoom`: 0.1 is 90 to 110 % of the size. `shear`: horizontal, as a slope. `elastic`: deviation, in
    pixels, of a smooth field that bends the image (Simard, Steinkraus, Platt 2003). `color`: brightness,
    contrast and saturation by up to this share. `gray`: share of images that lose their colour. `gamma`:
    levels of 0 to 1 to a power, between e^-gamma and e^gamma. `cutout`: edge of a square, in pixels, that is
    blotted out (DeVries and Taylor 2017). What comes in from outside repeats the edge.
    """

    shift: int = 0
    mirror: bool = False
    crop: float = 1.0
    turn: float = 0.0
    zoom: float = 0.0
    shear: float = 0.0
    elastic: float = 0.0
    color: float = 0.0
    gray: float = 0.0
    gamma: float = 0.0
    cutout: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.crop <= 1:
            raise InputError(f"crop must be a share of the side, in (0, 1]; got {self.crop}.")
        if not 0 <= self.gray <= 1:
            raise InputError(f"gray must be a share of the images, in [0, 1]; got {self.gray}.")
        if not (0 <= self.zoom < 1 and 0 <= self.color < 1):
            raise InputError(f"zoom and color must be in [0, 1); got {self.zoom} and {self.color}.")
        if min(self.shift, self.turn, self.shear, self.elastic, self.gamma, self.cutout) < 0:
            raise InputError("shift, turn, shear, elastic, gamma and cutout must be 0 or more.")


def usual_augment(kind: str, edge: int) -> Augment:
    """What is right for most images of a kind, `edge` pixels wide.

    Photographs are shifted by an eighth and mirrored (He et al. 2015, section 4.2). Digits, letters and signs
    are shifted by a tenth, turned and zoomed a little, and never mirrored: a mirrored name is another name.
    """
    if kind == "photographs":
        return Augment(shift=edge // 8, mirror=True)
    if kind == "glyphs":
        return Augment(shift=edge // 14, turn=10, zoom=0.1, shear=0.1)
    raise InputError(f'kind must be "photographs" or "glyphs"; got {kind!r}.')


def augment(images: "Tensor", how: Augment, generator: "Generator") -> "Tensor":
    """`images` (B C H W, values 0 to 255), each changed in its own way; uint8 where no value had to change.

    All chance comes from `generator`, which lives on the CPU: same generator, same change on every device.
    """
    steps: list[tuple[bool, Callable[..., Tensor]]] = [
        (how.shift > 0, _shifted),
        (bool(how.turn or how.zoom or how.shear or how.elastic or how.crop < 1), _warped),
        (how.mirror, _mirrored),
        (how.color > 0, _recolored),
        (how.gray > 0, _grayed),
        (how.gamma > 0, _relit),
        (how.cutout > 0, _blotted),
    ]
    for wanted, step in steps:
        if wanted:
            images = step(images, how, generator)
    return images


def _shifted(images: "Tensor", how: Augment, generator: "Generator") -> "Tensor":
    import torch

    b, _, h, w = images.shape
    rows, columns = (
        torch.arange(-how.shift, edge + how.shift, device=images.device).clamp(0, edge - 1) for edge in (h, w)
    )
    padded = images.index_select(2, rows).index_select(3, columns)
    windows = padded.unfold(2, h, 1).unfold(3, w, 1)  # a view: B C 2s+1 2s+1 H W
    at = torch.randint(0, 2 * how.shift + 1, (2, b), generator=generator).to(images.device)
    shifted: Tensor = windows[torch.arange(b, device=images.device), :, at[0], at[1]]
    return shifted


def _warped(images: "Tensor", how: Augment, generator: "Generator") -> "Tensor":
    """One affine map an image: turned, sheared and zoomed about the middle, then a window of it."""
    import torch
    from torch.nn.functional import affine_grid, grid_sample

    b, _, h, w = images.shape
    draw = torch.rand(6, b, generator=generator) * 2 - 1
    angle, slope = draw[0] * math.radians(how.turn), draw[1] * how.shear
    window = 1 - (1 - how.crop) * (draw[3] + 1) / 2
    scale = window / (1 + how.zoom * draw[2])
    theta = torch.empty(b, 2, 3)
    # Coordinates run from -1 to 1 on both axes: an angle needs the ratio of the sides.
    theta[:, 0, 0], theta[:, 1, 1] = angle.cos() * scale, angle.cos() * scale
    theta[:, 0, 1] = (slope - angle.sin()) * scale * (h / w)
    theta[:, 1, 0] = angle.sin() * scale * (w / h)
    theta[:, :, 2] = (draw[4:6] * (1 - window)).T
    grid = affine_grid(theta.to(images.device), list(images.shape), align_corners=False)
    if how.elastic:
        grid = grid + _bent(b, h, w, how.elastic, generator).to(images.device)
    return grid_sample(images.float(), grid, padding_mode="border", align_corners=False)


def _bent(b: int, h: int, w: int, elastic: float, generator: "Generator") -> "Tensor":
    """A smooth field of displacements (B H W 2), in halves of the sides: 5 x 5 numbers, interpolated."""
    import torch
    from torch.nn.functional import interpolate

    coarse = torch.randn(b, 2, 5, 5, generator=generator) * elastic
    coarse *= torch.tensor([2 / w, 2 / h])[:, None, None]
    return interpolate(coarse, (h, w), mode="bicubic", align_corners=False).permute(0, 2, 3, 1)


def _mirrored(images: "Tensor", how: Augment, generator: "Generator") -> "Tensor":
    import torch

    swap = torch.rand(len(images), generator=generator).to(images.device) < 0.5
    return torch.where(swap[:, None, None, None], images.flip(-1), images)


def _recolored(images: "Tensor", how: Augment, generator: "Generator") -> "Tensor":
    import torch

    draw = 1 + how.color * (torch.rand(3, len(images), 1, 1, 1, generator=generator) * 2 - 1)
    brightness, contrast, saturation = draw.to(images.device).unbind()
    images = images.float()
    gray = images.mean(1, keepdim=True)
    images = gray + (images - gray) * saturation
    level = gray.mean((2, 3), keepdim=True)
    recolored: Tensor = ((images - level) * contrast + level * brightness).clamp_(0, 255)
    return recolored


def _grayed(images: "Tensor", how: Augment, generator: "Generator") -> "Tensor":
    import torch

    chosen = torch.rand(len(images), generator=generator).to(images.device) < how.gray
    gray = images.float().mean(1, keepdim=True).to(images.dtype)
    return torch.where(chosen[:, None, None, None], gray, images)


def _relit(images: "Tensor", how: Augment, generator: "Generator") -> "Tensor":
    import torch

    power = ((torch.rand(len(images), 1, 1, 1, generator=generator) * 2 - 1) * how.gamma).exp()
    relit: Tensor = (images / 255).clamp_(0, 1).pow(power.to(images.device)) * 255
    return relit


def _blotted(images: "Tensor", how: Augment, generator: "Generator") -> "Tensor":
    import torch

    b, _, h, w = images.shape
    middle = torch.rand(2, b, 1, generator=generator).to(images.device)
    inside = [
        (torch.arange(edge, device=images.device) - (middle[i] * edge).floor() + how.cutout // 2)
        .floor_divide(max(how.cutout, 1))
        .eq(0)
        for i, edge in enumerate((h, w))
    ]
    hole = (inside[0][:, None, :, None]) & (inside[1][:, None, None, :])
    level = images.float().mean((2, 3), keepdim=True).to(images.dtype)
    return torch.where(hole, level, images)
