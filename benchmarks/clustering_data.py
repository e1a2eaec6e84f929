"""What the clusterers are measured on: made from a seed, or real. Each function gives arrays by name.

"x" are the rows, "rows" the numbers of those that a fit starts from, "start" these rows themselves,
"labels" a first grouping; the rest are settings.
"""

import gzip
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measure import data_folder, extract, in_child

Data = dict[str, np.ndarray]
N_VECTORS = 20_000


def started(x: np.ndarray, k: int, seed: int, **settings: Any) -> Data:
    """x, and k different rows of it to start from."""
    rows = np.random.default_rng(seed).choice(len(x), k, replace=False)
    return {"x": x, "rows": rows, "start": x[rows].copy()} | _arrays({"k": k} | settings)


def _arrays(settings: dict[str, Any]) -> Data:
    return {name: np.array(value) for name, value in settings.items()}


def blobs(n: int, d: int, k: int, spread: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    centers = rng.standard_normal((k, d)).astype(np.float32)
    return centers[rng.integers(k, size=n)] + np.float32(spread) * rng.standard_normal(
        (n, d), dtype=np.float32
    )


def lloyd(n: int, d: int, k: int, spread: float, iterations: int = 20) -> Data:
    return started(blobs(n, d, k, spread), k, 0, iterations=iterations)


def separated() -> Data:
    """The start of seed 102 is one of few from which no cluster runs empty on the way.

    faiss splits a cluster where one is empty and then ends elsewhere. It knows no convergence either, so the
    number of iterations is that which the others need.
    """
    from sklearn.cluster import KMeans

    data = started(blobs(200_000, 64, 100, 0.3), 100, 102)
    needed = KMeans(100, init=data["start"], n_init=1, max_iter=300, tol=0).fit(data["x"]).n_iter_
    return data | _arrays({"iterations": needed})


def mnist(k: int) -> Data:
    packed = gzip.decompress((data_folder() / "mnist" / "train-images-idx3-ubyte.gz").read_bytes())
    x = np.frombuffer(packed, np.uint8, offset=16).reshape(-1, 784).astype(np.float32)
    return started(x, k, 0, iterations=20)


def digits(k: int, **settings: Any) -> Data:
    from sklearn.datasets import load_digits

    return started(load_digits().data.astype(np.float32), k, 0, **settings)


def patches(n: int, d: int) -> np.ndarray:
    """Clusters of several densities and a tenth of noise."""
    rng = np.random.default_rng(0)
    centers = rng.uniform(0, 100, (50, d))
    width = rng.uniform(0.5, 2.0, 50)
    which = rng.integers(50, size=n - n // 10)
    points = centers[which] + width[which, None] * rng.standard_normal((len(which), d))
    return np.concatenate([points, rng.uniform(0, 100, (n // 10, d))])


def uniform(n: int, d: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 1, (n, d))


def density(x: np.ndarray, eps: float, min_samples: int = 10, metric: str = "euclidean") -> Data:
    return {"x": x} | _arrays({"eps": eps, "min_samples": min_samples, "metric": metric})


def wide_density(metric: str) -> Data:
    """Real vectors on 512 principal components; eps is such that about half of the points are core."""
    from sklearn.decomposition import PCA
    from sklearn.metrics import pairwise_distances

    x = PCA(512, svd_solver="covariance_eigh").fit_transform(vectors())
    some = pairwise_distances(x[::40], x, metric=metric)
    return density(x, float(np.median(np.partition(some, 9, axis=1)[:, 9])), metric=metric)


def distances(n: int, k: int) -> Data:
    from scipy.spatial.distance import cdist

    x = np.random.default_rng(0).standard_normal((n, 16))
    rows = np.random.default_rng(1).choice(n, k, replace=False)
    return {"x": cdist(x, x).astype(np.float32), "rows": rows}


def grouped(n: int, k: int) -> Data:
    """The first grouping is by the nearest of k rows: from random labels groups run empty."""
    from sklearn.metrics import pairwise_distances_argmin

    data = started(blobs(n, 16, k, 1.0), k, 0, gamma=0.03, iterations=20)
    labels = pairwise_distances_argmin(data["x"], data["start"]).astype(np.int32)
    return {name: value for name, value in data.items() if name not in ("rows", "start")} | {"labels": labels}


def soft(spread: float) -> Data:
    return started(blobs(100_000, 16, 20, spread), 20, 0, iterations=20, stiffness=1 / spread**2)


def vectors() -> np.ndarray:
    """20,000 CIFAR-10 images by MobileNetV2 through `sortal.organize`: some 90 s, kept for later runs."""
    kept = Path(tempfile.gettempdir()) / f"sortal-benchmark-mobilenetv2-{N_VECTORS}.npy"
    if not kept.exists():
        in_child(_embed, os.fspath(kept))
    return np.load(kept)


def _embed(kept: str) -> dict[str, Any]:
    import sortal
    from sortal.embed import Preprocess

    weights = data_folder() / "checkpoints" / "mobilenet_v2_imagenet.onnx"
    preprocess = Preprocess(range=255, mean=(128,) * 3, std=(128,) * 3, crop=0.875)
    with tempfile.TemporaryDirectory() as folder:
        images = extract(
            data_folder() / "cifar10-jpeg.zip",
            Path(folder, "images"),
            lambda i, name: name.endswith(".jpg") and ("/test/" in name or i % 5 == 0),
        )
        with sortal.organize(
            images, Path(folder, "pile.sortal"), encoder=os.fspath(weights), preprocess=preprocess, k=10,
            method="kmeans",
        ) as pile:  # fmt: skip
            found = np.array(pile.vectors, np.float32)
    assert len(found) == N_VECTORS, len(found)
    unfinished = f"{kept}.{os.getpid()}.npy"
    np.save(unfinished, found)
    os.replace(unfinished, kept)
    return {}
