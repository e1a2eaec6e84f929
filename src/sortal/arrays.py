"""Shape types for public signatures: n points, d features, k groups, m neighbours."""

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

__all__ = ["Centers", "Images", "Labels", "Mask", "Neighbors", "Points", "Vectors", "Weights"]

Points = Float[np.ndarray, "n d"]
Vectors = Float[np.ndarray, "n d"]
Centers = Float[np.ndarray, "k d"]
Labels = Int[np.ndarray, " n"]
Mask = Bool[np.ndarray, " n"]
Weights = Float[np.ndarray, " n"]
Neighbors = Int[np.ndarray, "n m"]
Images = UInt8[np.ndarray, "b h w 3"]
