"""Why gradients vanish or explode: the eigenvalues of W_hh. W = T S T^-1, so W^k = T S^k T^-1.

A modulus above 1 grows without end, one below 1 dies away (a widely used set of notes writes lambda < 0).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import nn

from sortal.diagnose.time.cells import cells
from sortal.errors import InputError

__all__ = ["Spectrum", "spectrum"]


@dataclass(frozen=True)
class Spectrum:
    """W = T S T^-1: `values` is the diagonal of S, largest modulus first, the columns of `vectors` are T.

    `condition` is that of T: by so much the rounding of T S^k T^-1 is multiplied, and by so much W^k can grow
    at first where all moduli are below 1.
    """

    matrix: np.ndarray
    values: np.ndarray
    vectors: np.ndarray

    @property
    def radius(self) -> float:
        """The largest modulus."""
        return float(np.abs(self.values[0]))

    @cached_property
    def condition(self) -> float:
        return float(np.linalg.cond(self.vectors))

    @property
    def word(self) -> str:
        """What W^k does as k grows."""
        if abs(self.radius - 1) < 1e-6:
            return "keeps its length"
        return "explodes" if self.radius > 1 else "vanishes"

    def power(self, k: int) -> np.ndarray:
        """T S^k T^-1."""
        found: np.ndarray = np.linalg.solve(self.vectors.T, (self.vectors * self.values**k).T).T.real
        return found

    def log_norms(self, most: int) -> np.ndarray:
        """log of the spectral norm of W^k for k = 0 to `most`, by repeated products that are scaled."""
        found, product = [0.0], np.eye(len(self.matrix))
        for _ in range(most):
            product = product @ self.matrix
            norm = float(np.linalg.norm(product, 2))
            found.append(found[-1] + np.log(norm) if norm else -np.inf)
            if not norm:
                break
            product /= norm
        return np.array(found + [-np.inf] * (most + 1 - len(found)))


def spectrum(rnn: nn.Module) -> dict[str, Spectrum]:
    """That of each recurrent matrix by its parameter's name; gates apart, as weight_hh_l0[z].

    Where h is projected, that of the gate's matrix with the projection before it, which is square.
    `InputError` for weights that are not finite.
    """
    found = {}
    for ways in cells(rnn):
        for cell in ways:
            name = f"weight_hh_l{cell.layer}" + ("_reverse" if cell.reverse else "")
            for gate, matrix in zip(cell.gates, cell.by_gate(cell.weight_hh)):
                key = name if len(cell.gates) == 1 else f"{name}[{gate}]"
                found[key] = of_matrix(matrix if cell.projection is None else cell.projection @ matrix)
    return found


def of_matrix(matrix: np.ndarray) -> Spectrum:
    if not np.isfinite(matrix).all():
        raise InputError(
            "recurrent weights must be finite; these hold NaN or infinity. Take an earlier state."
        )
    wide = matrix.astype(np.float64)
    values, vectors = np.linalg.eig(wide)
    order = np.argsort(-np.abs(values), kind="stable")
    return Spectrum(wide, values[order], vectors[:, order])
