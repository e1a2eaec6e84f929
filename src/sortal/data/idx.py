"""Arrays in the IDX format, in which MNIST is published.

Source: the format's description at the foot of LeCun's page of MNIST: two zero bytes, a code of the type, the
number of dimensions, each dimension as a big-endian 32-bit number, then the data.
"""

import math
import os

import numpy as np

from sortal.data.gzipped import read_unzipped
from sortal.data.shown import shown
from sortal.errors import DataError

__all__ = ["read_idx"]

_UNSIGNED_BYTES = 8  # the only type that sets of images use


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """The uint8 array in an IDX file, plain or gzipped. `DataError` where it holds something else."""
    return _parse(shown(str(path)), read_unzipped(path, "an IDX file"))


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
