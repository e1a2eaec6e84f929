"""A linear head on frozen vectors: from names given by a person to a classifier that knows its worth."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import softmax

from sortal.arrays import Labels, Mask, Points
from sortal.errors import InputError
from sortal.kernels import one_blas_thread
from sortal.store import checked_name
from sortal.train.calibration import calibrate
from sortal.train.labels import uneven
from sortal.train.novelty import Novelty, fit_novelty, left_out_caught
from sortal.train.report import HeadReport, NoveltyReport, name_scores, wilson_interval
from sortal.train.split import draw_evenly, held_out_mask
from sortal.train.whitening import MAX_FEATURES, Whitening, whiten_within

__all__ = [
    "Classified",
    "Head",
    "Prediction",
    "fit_linear",
    "judged_head",
    "train_head",
    "train_head_from",
]

MAX_NUMBERS = 2**26  # learned from at once: 256 MiB as float32, 65,536 vectors of 1,024 numbers
BLOCK = 8_192  # rows classified at once
# Numbers in a vector for each row, above which ridge is better: on 3,136 pixels of hands by 10 points with 80
# rows (39 each), worse by 4 with 400 (8 each).
RIDGE_WIDTH = 20
MAX_SIZE = 1e15  # of a number in a vector: its square, summed over many, still is a float32


@dataclass(frozen=True)
class Classified:
    """What a head says about n vectors, one entry each."""

    name_index: Labels  # the best of the known names, also where like_nothing_shown
    confidence: Float[np.ndarray, " n"]  # calibrated probability of that name
    like_nothing_shown: Mask
    novelty: Float[np.ndarray, " n"]  # distance over its threshold: above 1 is like nothing shown


@dataclass(frozen=True)
class Prediction:
    """One item: `name` stays the best known name where `like_nothing_shown`, so a person may use either."""

    path: str
    name: str
    confidence: float
    like_nothing_shown: bool
    novelty: float


@dataclass(frozen=True)
class Head:
    """Logits (x - mean) @ weights.T + bias over the labels, and one more for "none of these" where taught."""

    labels: tuple[str, ...]
    weights: Float[np.ndarray, "c d"]
    bias: Float[np.ndarray, " c"]
    temperature: float
    novelty: Novelty
    report: HeadReport

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return int(self.weights.shape[1])

    def classify(self, vectors: Points) -> Classified:
        """Names, calibrated confidences and novelty of n vectors.

        `InputError` for another width, for NaN and for numbers beyond 1e15.

        An item is like nothing shown where its novelty is above 1 or "none of these" is its likeliest answer.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.dim:
            raise InputError(
                f"vectors must be n x {self.dim}, as the encoder of this model makes them; "
                f"got {' x '.join(map(str, vectors.shape))}. Embed with the model's encoder."
            )
        with one_blas_thread():
            parts = [self._block(vectors[i : i + BLOCK], i) for i in range(0, len(vectors), BLOCK)]
        if not parts:
            parts = [(np.zeros(0, int), np.zeros(0), np.zeros(0, bool), np.zeros(0))]
        return Classified(*(np.concatenate(column) for column in zip(*parts)))

    def predict(self, paths: Sequence[str], vectors: Points) -> list[Prediction]:
        """One record a path, in order."""
        if len(paths) != len(vectors):
            raise InputError(
                f"paths must be one for each vector; got {len(paths)} for {len(vectors)} vectors."
            )
        said = self.classify(vectors)
        columns = zip(said.name_index, said.confidence, said.like_nothing_shown, said.novelty)
        return [
            Prediction(path, self.labels[index], float(confidence), bool(nothing), float(novelty))
            for path, (index, confidence, nothing, novelty) in zip(paths, columns)
        ]

    def logits(self, vectors: Points) -> Points:
        """Not calibrated; softmax(logits / temperature) is."""
        return np.asarray((vectors - self.novelty.mean) @ self.weights.T + self.bias, dtype=np.float64)

    def _block(self, block: Points, start: int) -> tuple[np.ndarray, ...]:
        vectors = _usable(block, start)
        probability = softmax(self.logits(vectors) / self.temperature, axis=1)
        known = probability[:, : len(self.labels)]
        novelty = self.novelty.scores(vectors)
        nothing = (novelty > 1.0) | (probability.argmax(axis=1) >= len(self.labels))
        return known.argmax(axis=1), known.max(axis=1), nothing, novelty


def train_head(
    vectors: Points,
    names: Sequence[str],
    *,
    none_vectors: Points | None = None,
    held_out: float = 0.2,
    seed: int = 0,
) -> Head:
    """A linear head with its held-out score.

    Multinomial logistic regression (scikit-learn, L-BFGS) in the half-whitened space of whitening.py, folded
    into one affine map. What is regularised how strongly comes from the data: Ledoit and Wolf's shrinkage of
    the covariance within names; after it C = 1 is within .02 log-loss of the best C on all piles measured.
    Few vectors that are too wide for that space learn by ridge regression instead (`_ridge_regression`).

    `held_out` of each name's items, rounded, at least one, only measure: the shipped weights are those that
    were measured, temperature and thresholds are set there. Names are those that a pile takes
    (store.checked_name). `none_vectors` are items marked "none of these": a further answer that names
    nothing. Above 2**26 numbers an even draw is learned from, and only it is read. Deterministic in `seed`.

    `InputError`: fewer than 2 names, a name with 1 item, NaN, numbers beyond 1e15, `held_out` outside (0, 1).
    """
    if len(names) != len(vectors):
        raise InputError(
            f"names must be one for each vector; got {len(names)} names for {len(vectors)} vectors."
        )
    none = none_vectors if none_vectors is not None and len(none_vectors) else vectors[:0]
    if vectors.ndim != 2 or vectors.shape[1] < 1 or none.shape[1:] != vectors.shape[1:]:
        raise InputError(
            f"vectors and none_vectors must be n x d with one d; got {vectors.shape} and {none.shape}."
        )

    def read(rows: Labels) -> Points:
        own, other = rows[rows < len(vectors)], rows[rows >= len(vectors)] - len(vectors)
        return np.concatenate([vectors[own], none[other]]) if len(other) else vectors[own]

    return train_head_from(read, vectors.shape[1], names, n_none=len(none), held_out=held_out, seed=seed)


def train_head_from(
    read: Callable[[Labels], Points],
    dim: int,
    names: Sequence[str],
    *,
    n_none: int = 0,
    held_out: float = 0.2,
    seed: int = 0,
) -> Head:
    """As `train_head`, from vectors that are read once it is known which are wanted.

    `read(rows)` gives the rows asked for, len(rows) x dim: 0 to len(names) - 1 are the named items, the
    `n_none` after them those marked "none of these". It is called twice, in ascending order, for at most
    2**26 numbers each time.
    """
    labels, index = _read_names(names)
    if not 0.0 < held_out < 1.0:
        raise InputError(f"held_out must be a share between 0 and 1; got {held_out}. Try 0.2.")
    index = np.concatenate([index, np.full(n_none, len(labels))])
    most = max(len(labels), MAX_NUMBERS // dim)
    held = held_out_mask(index, held_out, seed)
    train = np.flatnonzero(~held)
    train = train[draw_evenly(index[train], most, seed)]
    test = np.flatnonzero(held)
    test = test[draw_evenly(index[test], most, seed)]
    with one_blas_thread():
        return _fit(
            labels, (_usable(read(train)), index[train]), (_usable(read(test)), index[test]),
            (len(names), n_none), held_out, seed,
        )  # fmt: skip


def fit_linear(
    vectors: Points, labels: Labels, seed: int
) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, " k"]]:
    """Weights and bias on the vectors as they are, by logistic regression; labels are 0 to k - 1.

    Uneven names count the same, as they do in the loss of a network that this becomes the head of.
    """
    with one_blas_thread():
        whitening = whiten_within(vectors, labels, seed)
        weights, bias, _ = _logistic_regression(whitening, vectors, labels, balanced=uneven(labels))
    return weights, bias - weights @ whitening.mean


def judged_head(
    labels: tuple[str, ...],
    linear: tuple[Float[np.ndarray, "c d"], Float[np.ndarray, " c"]],
    train: tuple[Points, Labels],
    test: tuple[Points, Labels],
    *,
    held_out: float,
    seed: int,
) -> Head:
    """A head whose weights and bias on the vectors as they are were learned elsewhere, as by a network.

    As by `train_head`, the temperature, the rule for what is new and the report come from vectors: of items
    learned from, and held out. Rows numbered len(labels) are "none of these" and come last in both.
    """
    (x, y), (x_test, y_test) = (_usable(train[0]), train[1]), (_usable(test[0]), test[1])
    n_none = int((y == len(labels)).sum() + (y_test == len(labels)).sum())
    with one_blas_thread():
        named = y < len(labels)
        whitening = whiten_within(x[named], y[named], seed)
        weights, bias = linear
        fitted = weights, (bias + weights @ whitening.mean).astype(np.float32), True
        n_items = len(y) + len(y_test) - n_none, n_none
        return _judged(labels, whitening, fitted, (x, y), (x_test, y_test), n_items, held_out, seed)


def _fit(
    labels: tuple[str, ...],
    train: tuple[Points, Labels],
    test: tuple[Points, Labels],
    n_items: tuple[int, int],
    share: float,
    seed: int,
) -> Head:
    x, y = train
    n = int((y < len(labels)).sum())
    whitening = whiten_within(x[:n], y[:n], seed)
    if x.shape[1] > max(MAX_FEATURES, RIDGE_WIDTH * len(x)):
        fitted = _ridge_regression(whitening.mean, x, y)
    else:
        fitted = _logistic_regression(whitening, x, y)
    return _judged(labels, whitening, fitted, train, test, n_items, share, seed)


def _judged(
    labels: tuple[str, ...],
    whitening: Whitening,
    fitted: tuple[Float[np.ndarray, "c d"], Float[np.ndarray, " c"], bool],
    train: tuple[Points, Labels],
    test: tuple[Points, Labels],
    n_items: tuple[int, int],
    share: float,
    seed: int,
) -> Head:
    """Weights and bias on (x - whitening.mean), and whether they converged, as a head with its worth."""
    (x, y), (x_test, y_test), (weights, bias, converged) = train, test, fitted
    # Rows come in order, "none of these" last: the named ones are a view, not a copy.
    n, n_test = int((y < len(labels)).sum()), int((y_test < len(labels)).sum())
    novelty, new = fit_novelty(x[:n], y[:n], x_test[:n_test], whitening, seed)
    logits = np.asarray((x_test - whitening.mean) @ weights.T + bias, dtype=np.float64)
    new = np.concatenate([new, novelty.scores(x_test[n_test:]) > 1.0])
    flagged = new | (logits.argmax(axis=1) >= len(labels))
    truth = y_test[:n_test]
    confusion = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(confusion, (truth, logits[:n_test, : len(labels)].argmax(axis=1)), 1)
    scores = name_scores(labels, np.bincount(y[:n], minlength=len(labels)), confusion)
    calibration = calibrate(logits, y_test)
    report = HeadReport(
        n_items=n_items[0],
        n_train=n,
        n_held_out=n_test,
        n_none=n_items[1],
        held_out_share=share,
        seed=seed,
        converged=converged,
        accuracy=float(np.trace(confusion) / n_test),
        interval=wilson_interval(int(np.trace(confusion)), n_test),
        balanced_accuracy=float(np.mean([score.recall for score in scores])),
        majority_share=float(np.bincount(truth).max() / n_test),
        names=scores,
        confusion=tuple((int(t), int(c), int(confusion[t, c])) for t, c in np.argwhere(confusion)),
        calibration=calibration,
        novelty=NoveltyReport(
            known=float(flagged[:n_test].mean()),
            left_out=left_out_caught(x[:n], y[:n], x_test[:n_test], truth, seed),
            none=float(flagged[n_test:].mean()) if len(flagged) > n_test else None,
        ),
    )
    return Head(labels, weights, bias, calibration.temperature, novelty, report)


def _logistic_regression(
    whitening: Whitening, x: Points, y: Labels, *, balanced: bool = False
) -> tuple[Float[np.ndarray, "c d"], Float[np.ndarray, " c"], bool]:
    """Weights and bias on (x - mean), and whether the fit converged."""
    from sklearn.exceptions import ConvergenceWarning  # slow to import, and not needed to predict
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1.0, tol=1e-3, max_iter=500, class_weight="balanced" if balanced else None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(whitening(x), y)
    coefficients, intercept = _a_logit_each(model.coef_, model.intercept_)
    converged = not any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    weights = coefficients.astype(np.float64) @ whitening.axes.T.astype(np.float64)
    return weights.astype(np.float32), intercept.astype(np.float32), converged


def _ridge_regression(
    mean: Float[np.ndarray, " d"], x: Points, y: Labels
) -> tuple[Float[np.ndarray, "c d"], Float[np.ndarray, " c"], bool]:
    """The same by least squares against -1 and 1, its strength by leaving each item out in turn.

    What MiniRocket's authors put on its 9,996 numbers: of GunPoint 98.9 % right where the other has 97.8.
    *Source:* Dempster, Schmidt and Webb 2021, arXiv:2012.08791, section 4; strengths as in aeon.
    """
    from sklearn.linear_model import RidgeClassifierCV

    centred = x - mean
    scale = float(np.sqrt(np.mean(np.square(centred, dtype=np.float64)))) or 1.0
    model = RidgeClassifierCV(alphas=np.logspace(-3, 3, 10)).fit(centred / scale, y)
    coefficients, intercept = _a_logit_each(model.coef_, model.intercept_)
    return (coefficients / scale).astype(np.float32), intercept.astype(np.float32), True


def _a_logit_each(coefficients: np.ndarray, intercept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn gives one logit for two classes, its ridge even without an axis for it."""
    coefficients, intercept = np.atleast_2d(coefficients), np.atleast_1d(intercept)
    if len(coefficients) > 1:
        return coefficients, intercept
    return np.concatenate([-coefficients, coefficients]) / 2, np.concatenate([-intercept, intercept]) / 2


def _read_names(names: Sequence[str]) -> tuple[tuple[str, ...], Labels]:
    """The distinct names in sorted order, and for each item the number of its name."""
    other = next((name for name in names if not isinstance(name, str)), "")
    if not isinstance(other, str):
        raise InputError(f"a name must be a text; got {type(other).__name__}: leave out items without one.")
    clean = {name: checked_name(name) for name in set(names)}
    labels = tuple(sorted(set(clean.values())))
    if len(labels) < 2:
        raise InputError(
            f"training needs at least 2 different names; got {len(labels)}. Name one more group or item."
        )
    number = {label: i for i, label in enumerate(labels)}
    index = np.array([number[clean[name]] for name in names], dtype=np.int64)
    alone = np.flatnonzero(np.bincount(index) == 1)
    if len(alone):
        shown = ", ".join(repr(labels[i][:60]) for i in alone[:3]) + (", ..." if len(alone) > 3 else "")
        raise InputError(
            f"every name needs at least 2 items, one to learn from and one to measure with; {shown} "
            f"{'has' if len(alone) == 1 else 'have'} 1. Name another such item, or take the name back."
        )
    return labels, index


def _usable(vectors: Points, start: int | None = None) -> Points:
    """`vectors` as float32; `start` is the number of the first, where the caller knows them by number."""
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinity, and is refused below
        vectors = np.asarray(vectors, dtype=np.float32)
    good = np.maximum(vectors.max(axis=1), -vectors.min(axis=1)) <= MAX_SIZE  # False for NaN
    if not good.all():
        where = "" if start is None else f" (first in row {start + int(np.argmin(good))})"
        raise InputError(
            f"vectors must be finite numbers of at most {MAX_SIZE:g}; {int((~good).sum())} rows hold NaN or "
            f"infinity, or larger ones{where}. Embed those items again, or scale all vectors down."
        )
    return vectors
