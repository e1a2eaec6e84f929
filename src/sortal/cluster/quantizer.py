"""Vector quantisation: each vector becomes the number of the nearest entry of a codebook."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sortal.cluster.codebook_file import read_codebooks, write_codebooks
from sortal.cluster.descent import KMeansStep
from sortal.cluster.kmeans import kmeans
from sortal.cluster.rows import check_count, check_groups, check_tolerance, refuse_nonfinite, validated
from sortal.cluster.seeding import kmeans_plusplus
from sortal.errors import DataError, InputError
from sortal.kernels import map_blocks, nearest_center

__all__ = ["ProductQuantizer", "Quantization", "VectorQuantizer"]


@dataclass(frozen=True)
class Quantization:
    """What coding some vectors costs and what is lost."""

    n_vectors: int
    bits_per_vector: int  # of its codes, packed
    raw_bits_per_vector: int  # of the vector as it came
    codebook_bits: int
    mean_squared_error: float  # of a number: mean over vectors and columns
    distortion_db: float  # 10 log10 of squared error over variance: at -20 a hundredth is lost

    @property
    def compression(self) -> float:
        """How many times smaller packed codes with their codebooks are than the vectors."""
        coded = self.n_vectors * self.bits_per_vector + self.codebook_bits
        return self.n_vectors * self.raw_bits_per_vector / coded

    def psnr(self, peak: int | float) -> float:
        """Peak signal to noise in dB; `peak` is the largest value a number can take, such as 255."""
        return -_decibels(self.mean_squared_error, peak**2)


@np.errstate(divide="ignore", invalid="ignore")
def _decibels(noise: int | float, signal: int | float) -> float:
    """Minus infinity where nothing is lost."""
    return float(10 * (np.log10(noise) - np.log10(signal))) if noise else -np.inf


class _Quantizer(BaseEstimator):  # type: ignore[misc]
    """What both classes share: a codebook for each group of columns."""

    n_codes: Any
    max_iter: Any
    tol: Any
    random_state: Any
    verbose: Any
    codebooks_: list[np.ndarray]
    histories_: list[tuple[KMeansStep, ...]]
    stopped_: list[str]

    @property
    def bits_per_vector_(self) -> int:
        """Bits of a vector's codes, packed: log2 of each codebook's size, rounded up."""
        return sum((len(codebook) - 1).bit_length() for codebook in self.codebooks_)

    def fit(self, X: Any, y: Any = None) -> Any:
        """Learn the codebooks by k-means. `y` is ignored; numbers of 8 or 16 bits become float32."""
        X, _ = self._checked(X, reset=True)
        self._check_parameters(*X.shape)
        rng = check_random_state(self.random_state)
        self.codebooks_, self.histories_, self.stopped_ = [], [], []
        for columns in self._columns():
            self._learn(np.ascontiguousarray(X[:, columns]), rng)
        return self

    def measure(self, X: Any) -> Quantization:
        """What coding X costs and what is lost."""
        check_is_fitted(self)
        X, raw_bits = self._checked(X, reset=False)
        codes = self._encode(X)
        origin = X[0].astype(np.float64)  # a huge offset would cost the variance its digits

        def moments(rows: slice) -> tuple[float, np.ndarray, np.ndarray]:
            x = X[rows].astype(np.float64)
            noise = float(np.square(x - self._decode(codes[rows])).sum())
            return noise, (x - origin).sum(axis=0), np.square(x - origin).sum(axis=0)

        parts = list(map_blocks(moments, len(X), max(1, 2**17 // X.shape[1])))
        noise, total, squares = (sum(column, start=np.zeros(())) for column in zip(*parts, strict=True))
        signal = float((squares - total**2 / len(X)).sum())
        return Quantization(
            n_vectors=len(X),
            bits_per_vector=self.bits_per_vector_,
            raw_bits_per_vector=raw_bits,
            codebook_bits=sum(8 * codebook.nbytes for codebook in self.codebooks_),
            mean_squared_error=float(noise) / X.size,
            distortion_db=_decibels(float(noise), signal),
        )

    def save(self, path: str | Path) -> None:
        """Write the codebooks to one safetensors file; a file that stands there is replaced in one step."""
        check_is_fitted(self)
        write_codebooks(Path(path), type(self).__name__, self.codebooks_)

    def _columns(self) -> list[slice]:
        raise NotImplementedError

    def _encode(self, X: np.ndarray) -> np.ndarray:
        most = max(len(codebook) for codebook in self.codebooks_)
        codes = np.empty((len(X), len(self.codebooks_)), np.min_scalar_type(most - 1))
        for m, columns in enumerate(self._columns()):
            codebook = self.codebooks_[m].astype(X.dtype, copy=False)
            codes[:, m] = nearest_center(np.ascontiguousarray(X[:, columns]), codebook)[0]
        return codes

    def _decode(self, codes: np.ndarray) -> np.ndarray:
        return np.hstack([codebook[codes[:, m]] for m, codebook in enumerate(self.codebooks_)])

    def _checked_codes(self, codes: np.ndarray) -> np.ndarray:
        """`codes` as n x codebooks."""
        sizes = np.array([len(codebook) for codebook in self.codebooks_])
        if codes.ndim != 2 or codes.shape[1] != len(sizes) or codes.dtype.kind not in "iu":
            raise InputError(
                f"codes must be integers, {len(sizes)} for each vector, as `encode` gives them; "
                f"got {codes.dtype} of shape {codes.shape}."
            )
        wrong = np.argwhere((codes < 0) | (codes >= sizes))
        if len(wrong):
            row, m = (int(i) for i in wrong[0])
            raise InputError(
                f"codes must be between 0 and {sizes[m] - 1}; got {codes[row, m]} for vector {row}: "
                "decode them with the codebook that encoded them."
            )
        return codes

    def _learn(self, x: np.ndarray, rng: Any) -> None:
        start, _ = kmeans_plusplus(x, self.n_codes, random_state=rng)
        history: tuple[KMeansStep, ...] = ()
        distinct = np.unique(start, axis=0)  # k-means++ repeats a row only when no other is left
        if len(distinct) < self.n_codes:
            codebook, stopped = self._all_rows(distinct), "labels"
        else:
            report = self._told if self.verbose else None
            found = kmeans(x, start, max_iter=self.max_iter, tol=float(self.tol), callback=report)
            codebook, history, stopped = found.centers, found.history, found.stopped
        self.codebooks_.append(codebook)
        self.histories_.append(history)
        self.stopped_.append(stopped)

    def _told(self, step: KMeansStep) -> None:
        print(f"Codebook {len(self.codebooks_)}, inertia {step.inertia}.")  # noqa: T201

    def _all_rows(self, distinct: np.ndarray) -> np.ndarray:
        """The codebook where there are fewer distinct rows than codes."""
        return distinct

    def _checked(self, X: Any, *, reset: bool) -> tuple[np.ndarray, int]:
        """X as floats, and the bits of a row as it came."""
        came = getattr(X, "dtype", None)
        came = came if isinstance(came, np.dtype) and came.kind in "iubf" else np.dtype(np.float64)
        small = came.kind in "iub" and came.itemsize <= 2  # float32 holds them exactly
        X = validated(
            self,
            X,
            reset=reset,
            dtype=np.float32 if small else [np.float64, np.float32],
            ensure_all_finite=False,  # `refuse_nonfinite` names the place
        )
        refuse_nonfinite("X", X)
        return np.asarray(X), 8 * came.itemsize * X.shape[1]

    def _check_parameters(self, n: int, d: int) -> None:
        check_groups("n_codes", self.n_codes, n)
        check_count("max_iter", self.max_iter)
        check_tolerance(self.tol)


class VectorQuantizer(_Quantizer):
    """One codebook: a vector becomes the number of the nearest of `n_codes` vectors.

    Parameters
    ----------
    n_codes : int, default=256
    max_iter, tol, verbose
        Of `kmeans`, the pure function behind: it takes its start and returns what a fit keeps here.
    random_state : int, RandomState or None, default=None

    Attributes
    ----------
    codebook_ : array (n_codes, d)
    bits_per_vector_ : int
        log2 of `n_codes`, rounded up.
    histories_ : list of a tuple of KMeansStep, stopped_ : list of str
        What moved in each step of a codebook's k-means, and why it stopped. Of `load` neither is there.
    n_features_in_ : int

    Notes
    -----
    Source: Linde, Buzo, Gray 1980. `measure` says compression and distortion; `save` and `load` use
    safetensors, and what `load` reads is checked.

    Examples
    --------
    >>> import numpy as np
    >>> pixels = np.random.default_rng(0).integers(0, 256, (1000, 3), dtype=np.uint8)
    >>> coder = VectorQuantizer(16, random_state=0).fit(pixels)
    >>> coder.encode(pixels).dtype, coder.bits_per_vector_
    (dtype('uint8'), 4)
    """

    def __init__(
        self,
        n_codes: Any = 256,
        *,
        max_iter: Any = 300,
        tol: Any = 1e-4,
        verbose: Any = 0,
        random_state: Any = None,
    ) -> None:
        self.n_codes = n_codes
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose
        self.random_state = random_state

    @property
    def codebook_(self) -> np.ndarray:
        """The vectors that stand for all others."""
        return self.codebooks_[0]

    def encode(self, X: Any) -> np.ndarray:
        """The code of each row of X, (n,), in the least unsigned type that holds it (ties: the lowest)."""
        check_is_fitted(self)
        return self._encode(self._checked(X, reset=False)[0])[:, 0]

    def decode(self, codes: Any) -> np.ndarray:
        """The vectors that `codes` (n,) stand for, (n, d)."""
        check_is_fitted(self)
        return self._decode(self._checked_codes(np.asarray(codes)[..., None]))

    @classmethod
    def load(cls, path: str | Path) -> "VectorQuantizer":
        """A quantiser from a file that `save` wrote; `DataError` where it holds anything else."""
        codebooks = read_codebooks(Path(path), cls.__name__, most=1)
        coder = cls(len(codebooks[0]))
        coder.codebooks_, coder.n_features_in_ = codebooks, codebooks[0].shape[1]
        return coder

    def _columns(self) -> list[slice]:
        return [slice(0, self.n_features_in_)]

    def _all_rows(self, distinct: np.ndarray) -> np.ndarray:
        raise InputError(
            f"n_codes must be at most the number of distinct rows; got n_codes={self.n_codes} for "
            f"{len(distinct)}: with n_codes={len(distinct)} nothing is lost."
        )


class ProductQuantizer(_Quantizer):
    """A codebook for each of `n_subspaces` runs of columns: few codes stand for very many vectors.

    Parameters
    ----------
    n_subspaces : int, default=8
        At most the number of columns; runs differ in length by one column at most.
    n_codes : int, default=256
        Of each codebook. A run with fewer distinct rows gets a codebook of just these.
    max_iter, tol, verbose
        Of `kmeans`.
    random_state : int, RandomState or None, default=None

    Attributes
    ----------
    codebooks_ : list of n_subspaces arrays (codes, columns)
    bits_per_vector_ : int
        The sum of log2 of the codebooks' sizes, each rounded up.
    histories_, stopped_
        As in `VectorQuantizer`, for each codebook.
    n_features_in_ : int

    Notes
    -----
    Source: Jegou, Douze, Schmid 2011, Product Quantization for Nearest Neighbor Search.
    """

    def __init__(
        self,
        n_subspaces: Any = 8,
        n_codes: Any = 256,
        *,
        max_iter: Any = 300,
        tol: Any = 1e-4,
        verbose: Any = 0,
        random_state: Any = None,
    ) -> None:
        self.n_subspaces = n_subspaces
        self.n_codes = n_codes
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose
        self.random_state = random_state

    def encode(self, X: Any) -> np.ndarray:
        """The codes of each row of X, (n, n_subspaces), in the least unsigned type that holds them."""
        check_is_fitted(self)
        return self._encode(self._checked(X, reset=False)[0])

    def decode(self, codes: Any) -> np.ndarray:
        """The vectors that `codes` (n, n_subspaces) stand for, (n, d)."""
        check_is_fitted(self)
        return self._decode(self._checked_codes(np.asarray(codes)))

    @classmethod
    def load(cls, path: str | Path) -> "ProductQuantizer":
        """A quantiser from a file that `save` wrote; `DataError` where it holds anything else."""
        codebooks = read_codebooks(Path(path), cls.__name__)
        coder = cls(len(codebooks), max(len(codebook) for codebook in codebooks))
        coder.codebooks_ = codebooks
        coder.n_features_in_ = sum(codebook.shape[1] for codebook in codebooks)
        wide = [columns.stop - columns.start for columns in coder._columns()]
        if [codebook.shape[1] for codebook in codebooks] != wide:
            raise DataError(f"{path}: codebooks must be {wide} columns wide; save it again.")
        return coder

    def _columns(self) -> list[slice]:
        long, more = divmod(self.n_features_in_, self.n_subspaces)
        ends = np.cumsum([long + (m < more) for m in range(self.n_subspaces)])
        return [slice(int(a), int(b)) for a, b in zip([0, *ends[:-1]], ends, strict=True)]

    def _check_parameters(self, n: int, d: int) -> None:
        super()._check_parameters(n, d)
        check_groups("n_subspaces", self.n_subspaces, d, "features")
