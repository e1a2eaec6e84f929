"""Kernels: values between rows, at a precision that their rounding allows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.linalg import eigh
from scipy.spatial.distance import cdist

from sortal.cluster.dissimilarity import checked_symmetric
from sortal.cluster.rows import refuse_nonfinite, refuse_overflow
from sortal.errors import InputError
from sortal.kernels import gaussians, one_blas_thread

__all__ = ["KERNELS", "Kernel", "Separation", "auto_gamma", "least_eigenvalue", "separations"]

KERNELS = ("linear", "poly", "rbf", "precomputed")
PROBE = 512  # rows whose eigenvalues are looked at
MOST_HELD = 512  # rows: 2 MB at most, and ten starts from 300 rows asked for each value some 80 times
SHARES, USUAL = (0.015, 0.02, 0.03, 0.05, 0.08), 0.05


@dataclass(frozen=True)
class Kernel:
    """One kernel over one set of rows.

    poly is (gamma x.y + coef0)^degree, rbf is exp(-gamma |x - y|^2), linear is x.y. `rows` are what `values`
    takes: vectors (for rbf seen from their mean, so that an offset costs no digits, scaled, and followed by
    half of their squared norm), or the numbers of the rows and columns of the matrix `given`.
    """

    name: str | Callable[..., Any]
    gamma: float
    degree: float
    coef0: float
    rows: np.ndarray
    origin: np.ndarray
    by_differences: bool = False
    given: np.ndarray | None = None

    @staticmethod
    def over(x: np.ndarray, name: Any, gamma: Any, degree: Any, coef0: Any) -> "Kernel":
        """The kernel between rows of `x`. `gamma` may be "auto" (for rbf `auto_gamma` of one group)."""
        if not (callable(name) or name in KERNELS):
            raise InputError(f"kernel must be a callable or one of {', '.join(KERNELS)}; got {name!r}.")
        degree, coef0, origin = float(degree), float(coef0), np.zeros(x.shape[1], x.dtype)
        if isinstance(name, str) and name == "poly":
            _refuse_roots(x, degree, coef0)
        if isinstance(name, str) and name == "precomputed":
            given = checked_symmetric(x, "a precomputed kernel", -np.inf)
            return Kernel(name, 1.0, degree, coef0, np.arange(len(x)), origin, given=given)
        if not (isinstance(name, str) and name == "rbf"):
            kernel = Kernel(name, 1.0 if gamma == "auto" else float(gamma), degree, coef0, x, origin)
            _refuse_nonsense(kernel)
            if name == "linear":
                _refuse_vanishing(kernel)
            return kernel
        refuse_overflow("X", refuse_nonfinite("X", x))
        gamma = auto_gamma(x, 1)[0] if gamma == "auto" else float(gamma)
        origin = x.mean(axis=0, dtype=np.float64)
        rows = _seen_from(origin, x, gamma, x.dtype)
        reach = float(rows[:, -1].max())
        # The exponent is a difference of numbers up to `reach`: what rounding leaves of it must be small.
        if x.dtype == np.float32 and not reach * np.finfo(np.float32).eps < 1e-4:
            rows = _seen_from(origin, x, gamma, np.float64)
        return Kernel(name, gamma, degree, coef0, rows, origin, bool(reach * np.finfo(np.float64).eps > 1e-6))

    def values(self, a: Any, b: Any) -> Float[np.ndarray, "a b"]:
        """Between each of the rows a and each of the rows b."""
        if self.given is not None:
            return np.asarray(self.given[a[:, None], b])
        if callable(self.name):
            return np.array([[_called(self.name, p, q) for q in b] for p in a], self.rows.dtype)
        if self.name == "rbf":
            if self.by_differences:
                return np.asarray(np.exp(-cdist(a[:, :-1], b[:, :-1], "sqeuclidean") / 2))
            return gaussians(a, b)
        products = a @ b.T
        if self.name == "linear":
            return np.asarray(products)
        products *= products.dtype.type(self.gamma)
        products += products.dtype.type(self.coef0)
        return _power(products, self.degree)

    @property
    def is_held(self) -> bool:
        """Whether all values are there, and so few that a product with them costs next to nothing."""
        return self.given is not None and len(self.given) <= MOST_HELD

    def held(self) -> "Kernel":
        """The same kernel as a matrix, if the rows are few; else itself."""
        if self.given is not None or len(self.rows) > MOST_HELD:
            return self
        matrix = self.values(self.rows, self.rows).astype(np.float64, copy=False)
        return replace(self, name="precomputed", rows=np.arange(len(matrix)), given=matrix)

    def diagonal(self) -> Float[np.ndarray, " n"]:
        """The kernel of each row with itself, in float64."""
        if self.given is not None:
            return np.diagonal(self.given).astype(np.float64)
        if callable(self.name):
            return np.array([_called(self.name, p, p) for p in self.rows], np.float64)
        if self.name == "rbf":
            return np.ones(len(self.rows))
        wide = self.rows.astype(np.float64, copy=False)
        squares = np.einsum("nd,nd->n", wide, wide)
        if self.name == "linear":
            return np.asarray(squares)
        return _power(self.gamma * squares + self.coef0, self.degree)

    def queries(self, x: np.ndarray) -> np.ndarray:
        """Other vectors as rows for `values`."""
        if isinstance(self.name, str) and self.name == "rbf":
            refuse_overflow("X", x, self.origin)
            return _seen_from(self.origin, x, self.gamma, self.rows.dtype)
        rows = np.asarray(x, self.rows.dtype)
        if self.name == "poly":
            _refuse_roots(rows, self.degree, self.coef0)
        if not callable(self.name):
            _refuse_nonsense(replace(self, rows=rows))
        return rows

    def may_be_indefinite(self) -> bool:
        """Whether the formula leaves it open that an eigenvalue is negative."""
        if self.name == "poly":
            return not (self.coef0 >= 0 and self.gamma >= 0 and float(self.degree).is_integer())
        return not (isinstance(self.name, str) and self.name in ("linear", "rbf"))


def _seen_from(origin: np.ndarray, x: np.ndarray, gamma: float, kind: Any) -> np.ndarray:
    """Rows scaled so that rbf is exp(-|a - b|^2 / 2), and half of their squared norm."""
    rows = np.empty((len(x), x.shape[1] + 1), kind)
    np.multiply(x - origin, (2 * gamma) ** 0.5, out=rows[:, :-1], casting="same_kind")
    rows[:, -1] = 0.5 * np.einsum("nd,nd->n", rows[:, :-1], rows[:, :-1], dtype=np.float64)
    return rows


def auto_gamma(x: np.ndarray, n_clusters: int) -> tuple[float, bool]:
    """1 / (2 s^2), s the median distance within which a row has a share of the rows (of 512 evenly spread).

    The share is the one of `SHARES` where the eigenvalues of the normalised kernel have the widest gap,
    (l_k - l_k+1) / (1.001 - l_k), if the rows fall into k nearly separate parts there, 1 - l_k < 0.01: then
    the second result is True. Else it is 5 %.

    Chosen on 300 to 2,000 points and seeds 0 and 1, looked at with seeds 5 and 6: rings of factor .3 (noise
    to .1), .5 (to .05) and .6 (0) are found (ARI .85 to 1), moons with noise .1 (.72 to 1), and blobs and
    digits keep the 5 %. Rings of factor .5 with noise .1 or .6 with .05 are not found, of .4 with .1 mostly.

    Source: Ng, Jordan, Weiss 2001 (eigenvalues of the normalised kernel, a scale picked by what it
    separates); von Luxburg 2007, section 8.3 (the gap).
    """
    refuse_overflow("X", x)
    squared, reach = _reaches(x)
    found: list[Separation] = []
    for one in _separations(squared, reach, (n_clusters,)):
        found.append(one)
        if not found[0].cut_off:  # what the narrowest kernel does not cut off, no wider one does
            break
    best = max(found, key=lambda one: one.gap, default=None)
    if best is not None and best.cut_off:
        return best.gamma, True
    # Where most rows are equal, any distance is better than none; where all are, any gamma will do.
    chosen = reach[USUAL] or float(squared.mean())
    return (1 / (2 * chosen) if chosen > 0 else 1.0), False


@dataclass(frozen=True)
class Separation:
    """How well an RBF kernel cuts rows into parts."""

    share: float  # of the rows, within the distance that gamma is taken from
    gamma: float
    k: int  # parts
    separate: float  # eigenvalue number k of the normalised kernel: 1 where nothing lies between the parts
    gap: float  # to the next eigenvalue, over the distance to 1: higher is better

    @property
    def cut_off(self) -> bool:
        """Whether the parts are nearly separate."""
        return self.separate > 0.99


def separations(x: np.ndarray, numbers: Sequence[int]) -> tuple[Separation, ...]:
    """Each of the `SHARES` with each of `numbers` (ascending); of them those from 2 to below n."""
    return tuple(_separations(*_reaches(x), numbers))


def _separations(
    squared: np.ndarray, reach: dict[float, float], numbers: Sequence[int]
) -> Iterator[Separation]:
    """From the narrowest kernel on, each at the cost of its eigenvalues: 2 ms for 300 rows, 8 for 512."""
    numbers = [k for k in numbers if 1 < k < len(squared)]
    for share in SHARES if numbers else ():
        if reach[share] > 0:
            values = _normalised_eigenvalues(squared / (2 * reach[share]), numbers[0], numbers[-1] + 1)
            for k in numbers:
                own, following = values[k - numbers[0]], values[k + 1 - numbers[0]]
                gap = float((own - following) / (1.001 - own))
                yield Separation(share, 1 / (2 * reach[share]), k, float(own), gap)


def _reaches(x: np.ndarray) -> tuple[np.ndarray, dict[float, float]]:
    """Squared distances of rows evenly spread, and the median of those that each share of them is within."""
    rows = x[np.unique(np.linspace(0, len(x) - 1, PROBE).astype(int))].astype(np.float64)
    squared = cdist(rows, rows, "sqeuclidean")
    ranked = np.sort(squared, axis=1)  # a fifth of the time of np.quantile
    place = np.array(SHARES) * (len(rows) - 1)
    below, part = place.astype(int), place % 1
    above = ranked[:, np.minimum(below + 1, len(rows) - 1)]
    quantiles = ranked[:, below] + part * (above - ranked[:, below])
    return squared, dict(zip(SHARES, np.median(quantiles, axis=0).tolist(), strict=True))


def _normalised_eigenvalues(exponent: np.ndarray, first: int, last: int) -> np.ndarray:
    """Those with the numbers `first` to `last` from the top, falling, of D^-1/2 exp(-exponent) D^-1/2."""
    among = np.exp(-exponent)
    scale = among.sum(axis=1) ** -0.5
    n = len(among)
    with one_blas_thread():  # the same bits whatever the threads
        found = eigh(scale[:, None] * among * scale, eigvals_only=True, subset_by_index=(n - last, n - first))
    return np.asarray(found[::-1])


def least_eigenvalue(kernel: Kernel) -> float:
    """The least eigenvalue of the kernel on up to 512 of its rows, evenly spread.

    No eigenvalue of the whole matrix lies above the least of a part (Cauchy's interlacing): a negative one
    proves that the kernel is not positive semi-definite.
    """
    rows = kernel.rows[np.unique(np.linspace(0, len(kernel.rows) - 1, PROBE).astype(int))]
    return float(np.linalg.eigvalsh(kernel.values(rows, rows).astype(np.float64))[0])


def _refuse_roots(x: np.ndarray, degree: float, coef0: float) -> None:
    """`InputError` for a power that gamma x.y + coef0 may not have: of a negative number, or of 0."""
    if degree < 0 or (not degree.is_integer() and (coef0 < 0 or float(x.min()) < 0)):
        raise InputError(
            "degree must be a whole number of at least 0 for kernel='poly' where rows or coef0 are negative; "
            f"got {degree:g}: take {max(0, round(degree))}."
        )


def _refuse_vanishing(kernel: Kernel) -> None:
    """`InputError` for rows so short that their products are 0, or lose digits."""
    limits, largest = np.finfo(kernel.rows.dtype), float(kernel.diagonal().max())
    if 0 < largest < limits.tiny / limits.eps:
        raise InputError(
            f"kernel='linear' needs rows whose products {limits.dtype} can hold; got {largest:.3g} for the "
            "longest with itself: multiply X."
        )


def _refuse_nonsense(kernel: Kernel) -> None:
    """`InputError` for values too large for the type of the rows, or a callable that is not symmetric."""
    rows, n = kernel.rows, len(kernel.rows)
    with np.errstate(over="ignore"):
        largest = float(np.abs(kernel.diagonal()).max())
    if not largest < float(np.finfo(rows.dtype).max) / 1024:  # so many are added up in it
        raise InputError(
            f"kernel must give finite {rows.dtype} numbers; {kernel.name!r} gives {largest:.3g} for a row "
            "with itself: divide X, or lower the degree."
        )
    if not callable(kernel.name):
        return
    for i in range(0, n, max(1, n // 16)):
        j = (i + n // 2) % n
        there, back = _called(kernel.name, rows[i], rows[j]), _called(kernel.name, rows[j], rows[i])
        if abs(there - back) > 1e-5 * max(largest, abs(there)):
            raise InputError(
                f"kernel must be symmetric; {kernel.name!r} gives {there:g} for rows {i} and {j}, "
                f"{back:g} for {j} and {i}: take (K(a, b) + K(b, a)) / 2."
            )


def _power(values: np.ndarray, degree: float) -> np.ndarray:
    if degree in (1, 2, 3):
        return np.asarray(values if degree == 1 else values * values * (1 if degree == 2 else values))
    return np.asarray(values ** values.dtype.type(degree))


def _called(kernel: Callable[..., Any], a: np.ndarray, b: np.ndarray) -> float:
    value: Any = kernel(a, b)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        text = " ".join(str(value).split())[:60]
        raise InputError(f"kernel must return a finite number for two rows; {kernel!r} returned {text}.")
    return number
