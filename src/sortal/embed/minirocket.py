"""MiniRocket from aeon: how often convolutions are above thresholds. The embedded default for series."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sortal.arrays import Vectors
from sortal.data import SeriesInput
from sortal.embed.fit_file import read_fit, write_fit
from sortal.errors import DataError, InputError, MissingExtra
from sortal.kernels import n_threads

__all__ = ["MiniRocket", "fit_minirocket"]

KERNELS = 10_000  # the authors' number; 9,996 come out
SHORTEST = 9  # values: the length of the kernels
MOST_MEDIANS = 4  # the length taken is that of the longest, up to so many times the median
LEAST_SPREAD = 0.01  # of a share of time over the pile; below, it is noise
# What aeon's transformer learns, in its order.
_PARAMETERS = (
    "channels_per_combination", "channels", "dilations", "features_per_dilation", "thresholds",
)  # fmt: skip


class MiniRocket:
    """84 kernels of length 9 at several dilations; each number is a share of time above a threshold.

    The thresholds are quantiles of the pile's own series (`fit_minirocket`), and so are the mean and
    deviation by which each number is standardised, as its authors' classifier does. The transform needs one
    length: shorter series get zeros at their end (JapaneseVowels: 98.4 % right, stretched 97.3), longer ones
    are cut. Series of other channels are refused. Needs the extra `series`.
    Source: Dempster, Schmidt and Webb 2021, arXiv:2012.08791, in aeon's form.
    """

    name = "minirocket"
    batch = 256

    def __init__(self, weights: Path, channels: int, length: int) -> None:
        arrays, _, self.digest = read_fit(weights)
        if set(arrays) != {*_PARAMETERS, "mean", "spread"}:
            raise DataError(
                "the fit of minirocket must hold its parameters: it is damaged or of a newer Sortal."
            )
        self.weights: Path | None = weights
        self.input = SeriesInput(channels, length)
        self.dim = len(arrays["thresholds"])
        self._mean, self._scale = arrays["mean"], 1 / arrays["spread"]
        self._rocket = _transformer()
        self._rocket.parameters = tuple(arrays[name] for name in _PARAMETERS)
        self._rocket._n_jobs = n_threads()  # what its fit would set

    @property
    def spec(self) -> dict[str, Any]:
        return {"kind": "minirocket", "channels": self.input.channels, "length": self.input.length}

    def embed(self, series: np.ndarray) -> Vectors:
        found: Vectors = np.ascontiguousarray(self._rocket._transform(series), dtype=np.float32)
        for row in found:  # 40 kB, in cache for both; over the whole batch each pass goes to memory
            np.subtract(row, self._mean, out=row)
            np.multiply(row, self._scale, out=row)
        return found


def fit_minirocket(series: Sequence[np.ndarray], folder: Path) -> MiniRocket:
    """Fit on `series` (channels x time each) and keep the fit in `folder`. The same give the same.

    The number of channels is that of most, the length that of the longest up to four medians.
    """
    if not len(series):
        raise InputError("minirocket must be fitted on a series at least; none can be read.")
    channels = Counter(len(one) for one in series).most_common(1)[0][0]
    alike = [one for one in series if len(one) == channels]
    lengths = [one.shape[1] for one in alike]
    length = max(SHORTEST, min(max(lengths), int(MOST_MEDIANS * np.median(lengths))))
    want = SeriesInput(channels, length)
    rocket = _transformer()
    ready = np.stack([want.prepared(one) for one in alike])
    shares = rocket.fit_transform(ready)
    arrays = dict(zip(_PARAMETERS, rocket.parameters))
    arrays["mean"] = shares.mean(axis=0, dtype=np.float64).astype(np.float32)
    arrays["spread"] = np.hypot(shares.std(axis=0, dtype=np.float64), LEAST_SPREAD).astype(np.float32)
    return MiniRocket(write_fit(folder, arrays), channels, length)


def _transformer() -> Any:
    try:
        from aeon.transformations.collection.convolution_based import MiniRocket as Transformer
    except ImportError as e:
        raise MissingExtra("MiniRocket for time series", "series") from e
    return Transformer(n_kernels=KERNELS, n_jobs=n_threads(), random_state=0)
