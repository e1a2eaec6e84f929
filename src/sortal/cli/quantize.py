"""sortal quantize"""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import numpy as np


@click.command()
@click.argument("image", type=click.Path())
@click.option("--colors", type=click.IntRange(1, 256), default=16, show_default=True, help="Colours to keep.")
@click.option("--out", type=click.Path(), help="The PNG to write; by default NAME.16.png beside the image.")
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same colours.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def quantize(image: str, colors: int, out: str | None, seed: int, as_json: bool) -> None:
    """Draw an image with few colours: k-means on its pixels.

    Says the size before and after, and how far the pixels moved (PSNR in dB; 30 is hard to see, more is
    better).

    \b
    sortal quantize photo.jpg --colors 16 --out small.png
    """
    import os
    from pathlib import Path

    from sortal.cli.output import print_json
    from sortal.data import shown
    from sortal.errors import InputError
    from sortal.progress import counted
    from sortal.whole import checked_target, write_whole
    from sortal.wishes import check_seed

    check_seed(seed)
    if not os.path.isfile(image):
        raise InputError(f"{shown(image)} must be an image; there is no such file: check the path.")
    target = checked_target(out if out is not None else Path(image).with_suffix(f".{colors}.png"))
    if target.suffix.lower() != ".png":
        raise InputError(f"--out must be a .png, which stores few colours well; got {shown(str(target))}.")
    if os.path.exists(target) and os.path.exists(image) and os.path.samefile(target, image):
        raise InputError(f"--out must not be the image itself; got {shown(image)}: give another name.")
    content, pixels = _read(image)
    for note in _what_is_lost(content):
        click.echo(note, err=True)
    palette, index = _few_colors(pixels, colors, seed)
    small = _png(palette, index)
    write_whole(target, small)
    record = {
        "image": image, "out": str(target), "width": pixels.shape[1], "height": pixels.shape[0],
        "colors": len(palette), "bytes_before": len(content), "bytes_after": len(small),
        "psnr_db": _psnr(pixels, palette[index]),
    }  # fmt: skip
    if as_json:
        print_json(record)
        return
    psnr = "every pixel kept" if record["psnr_db"] is None else f"PSNR {record['psnr_db']:.1f} dB"
    click.echo(
        f"{shown(image)}: {len(content):,} bytes; {shown(str(target))}: {len(small):,} bytes "
        f"({len(small) / len(content):.0%}), {counted(len(palette), 'colour')}, {psnr}"
    )


def _read(image: str) -> tuple[bytes, "np.ndarray"]:
    import numpy as np

    from sortal.data import decode_image, shown
    from sortal.data.reading import read_file
    from sortal.errors import InputError, Unreadable

    try:
        content = read_file(image)
        return content, np.asarray(decode_image(content))
    except Unreadable as e:
        raise InputError(f"{shown(image)} must be an image that can be read; {e}: give another.") from e


def _what_is_lost(content: bytes) -> list[str]:
    """What of the image its pixels as RGB do not hold, in words."""
    import io

    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        frames, mode, clear = getattr(image, "n_frames", 1), image.mode, image.has_transparency_data
    notes = [f"of {frames} frames the first is taken"] if frames > 1 else []
    if clear:
        notes.append("transparency is laid on a ground of one colour")
    if mode.startswith(("I", "F")):
        notes.append("more than 8 bits a pixel become 8")
    return notes


def _few_colors(pixels: "np.ndarray", colors: int, seed: int) -> tuple["np.ndarray", "np.ndarray"]:
    """The palette, and for each pixel its place in it.

    k-means on the distinct colours, weighted by how often they occur, is k-means on all pixels.
    """
    import numpy as np

    from sortal.cluster import KMeans

    flat = pixels.reshape(-1, 3).astype(np.uint32)
    packed, inverse, counts = np.unique(
        flat[:, 0] << 16 | flat[:, 1] << 8 | flat[:, 2], return_inverse=True, return_counts=True
    )
    distinct = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1).astype(np.float64)
    k = min(colors, len(distinct))
    fitted = KMeans(k, random_state=seed).fit(distinct, sample_weight=counts)
    palette = np.clip(np.rint(fitted.cluster_centers_), 0, 255).astype(np.uint8)
    return palette, fitted.labels_[inverse.ravel()].reshape(pixels.shape[:2]).astype(np.uint8)


def _png(palette: "np.ndarray", index: "np.ndarray") -> bytes:
    import io

    from PIL import Image

    image = Image.fromarray(index)
    image.putpalette(palette.tobytes())
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def _psnr(before: "np.ndarray", after: "np.ndarray") -> float | None:
    """None where nothing differs."""
    import numpy as np

    error = float(((before.astype(np.float64) - after) ** 2).mean())
    return None if error == 0 else float(10 * np.log10(255**2 / error))
