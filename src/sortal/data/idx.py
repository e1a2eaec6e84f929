"""Arrays in the IDX format, in which MNIST is published.

Source: the format's description at the foot of LeCun's page of MNIST: two zero bytes, a code of the type, the
number of dimensions, each dimension as a big-endian 32-bit number, then the data.
"""

import gzip
import math
import os
import zlib
from pathlib import Path

import numpy as np

from sortal.data.shown import shown
from sortal.data.source import READ_LIMIT
from sortal.errors import DataError, InputError

__all__ = ["read_idx"]

_UNSIGNED_BYTES = 8  # the only type that sets of images use


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """The uint8 array in an IDX file, plain or gzipped. `DataError` where it holds something else."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if zipped else path.open("rb") as file:
            data = file.read(READ_LIMIT + 1)
    except FileNotFoundError as e:
        raise InputError(f"{shown(str(path))} must be an IDX file; there is no such file.") from e
    except (OSError, EOFError, zlib.error) as e:
        raise DataError(f"{shown(str(path))} must be an IDX file; it cannot be read: {e}.") from e
    if len(data) > READ_LIMIT:
        raise DataError(f"{shown(str(path))} must unpack to at most {READ_LIMIT // 2**20} MiB.")
    return _parse(shown(str(path)), data)


def _parse(path: str, data: bytes) -> np.ndarray:
    n_dims = data[3] if len(data) > 3 else 0
    if data[:3] != bytes([0, 0, _UNSIGNED_BYTES]) or not 1 <= n_dims <= 4:
        raise DataError(
            f"{path} must be an IDX file of bytes, 1 to 4 dimensions; it begins with {data[:4]!r}."
        )
    shape = tuple(int.from_bytes(data[4 + 4 * i : 8 + 4 * i]) for i in range(n_dims))
    n_bytes = len(data) - 4 - 4 * n_dims
    if n_bytes != math.prod(shape):
        raise DataError(
            f"{path} must hold {' x '.join(map(str, shape))} bytes, as its header says; not {n_bytes:,}. "
            "Fetch the file again."
        )
    return np.frombuffer(data, np.uint8, offset=4 + 4 * n_dims).reshape(shape)
