"""The contenders, METHOD_PACKAGE: each takes data and settings and gives the fit to be timed.

What a package wants converted, and what only carries the data to it, is done before the clock starts. The fit
gives arrays to compare ("centers", "labels", "medoids", "seeds"); nothing that only the comparison needs is
computed in it.
"""

import os
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
from clustering_data import Data

Answer = dict[str, np.ndarray]
Fit = Callable[[], Answer]

THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))


# ---- k-means from a given start


def _lloyd(estimator: Any, data: Data) -> Fit:
    def fit() -> Answer:
        made = estimator(
            len(data["start"]), init=data["start"], n_init=1, max_iter=int(data["iterations"]), tol=0
        ).fit(data["x"])
        return {"centers": np.asarray(made.cluster_centers_), "labels": np.asarray(made.labels_)}

    return fit


def lloyd_sortal(data: Data) -> Fit:
    from sortal.cluster import KMeans

    return _lloyd(KMeans, data)


def lloyd_sklearn(data: Data) -> Fit:
    from sklearn.cluster import KMeans

    return _lloyd(KMeans, data)


def lloyd_intelex(data: Data) -> Fit:
    from sklearnex.cluster import KMeans

    return _lloyd(KMeans, data)


def lloyd_faiss(data: Data) -> Fit:
    import faiss

    def fit() -> Answer:
        k, d = data["start"].shape
        n = len(data["x"])
        made = faiss.Kmeans(
            d, k, niter=int(data["iterations"]), max_points_per_centroid=n, min_points_per_centroid=1
        )
        made.train(data["x"], init_centroids=data["start"])
        return {"centers": made.centroids, "labels": made.index.search(data["x"], 1)[1].ravel()}

    return fit


def lloyd_fastkmeans(data: Data) -> Fit:
    """It draws its start by `torch.randperm` and takes none: the draw is replaced."""
    import torch
    from fastkmeans import FastKMeans

    rows = torch.from_numpy(data["rows"])

    def fit() -> Answer:
        k, d = data["start"].shape
        made = FastKMeans(d, k, niter=int(data["iterations"]), tol=-1.0, gpu=False)
        with mock.patch("torch.randperm", return_value=rows):
            labels = made.fit_predict(data["x"])
        return {"centers": made.centroids, "labels": labels}

    return fit


def lloyd_sgemm(data: Data) -> Fit:
    """No peer: only the matrix products of the assignments, in blocks that stay in the cache."""
    x, centers = data["x"], np.ascontiguousarray(data["start"].T)
    out = np.empty((min(1024, len(x)), centers.shape[1]), np.float32)

    def fit() -> Answer:
        for _ in range(int(data["iterations"]) + 1):
            for at in range(0, len(x), len(out)):
                block = x[at : at + len(out)]
                np.matmul(block, centers, out=out[: len(block)])
        return {}

    return fit


# ---- k-means as it is called: k-means++, ten starts


def _best(estimator: Any, data: Data) -> Fit:
    def fit() -> Answer:
        made = estimator(int(data["k"]), n_init=10, random_state=0).fit(data["x"])
        return {"centers": np.asarray(made.cluster_centers_), "labels": np.asarray(made.labels_)}

    return fit


def best_sortal(data: Data) -> Fit:
    from sortal.cluster import KMeans

    return _best(KMeans, data)


def best_sklearn(data: Data) -> Fit:
    from sklearn.cluster import KMeans

    return _best(KMeans, data)


def best_intelex(data: Data) -> Fit:
    from sklearnex.cluster import KMeans

    return _best(KMeans, data)


# ---- seeding; n_local_trials 0 stands for the default


def _seed(function: Any, data: Data) -> Fit:
    trials = int(data["trials"]) or None

    def fit() -> Answer:
        return {"seeds": function(data["x"], int(data["k"]), random_state=0, n_local_trials=trials)[1]}

    return fit


def seed_sortal(data: Data) -> Fit:
    from sortal.cluster import kmeans_plusplus

    return _seed(kmeans_plusplus, data)


def seed_sklearn(data: Data) -> Fit:
    from sklearn.cluster import kmeans_plusplus

    return _seed(kmeans_plusplus, data)


# ---- nearest centers


def _predict(estimator: Any, data: Data) -> Fit:
    """Fitted on the centers, each twice: they stay, and with n = k intelex would leave it to scikit-learn."""
    start = data["start"]
    made = estimator(len(start), init=start, n_init=1, max_iter=1).fit(np.concatenate([start, start]))
    return lambda: {"labels": np.asarray(made.predict(data["x"]))}


def predict_sortal(data: Data) -> Fit:
    from sortal.cluster import KMeans

    return _predict(KMeans, data)


def predict_sklearn(data: Data) -> Fit:
    from sklearn.cluster import KMeans

    return _predict(KMeans, data)


def predict_intelex(data: Data) -> Fit:
    from sklearnex.cluster import KMeans

    return _predict(KMeans, data)


def predict_faiss(data: Data) -> Fit:
    import faiss

    index = faiss.IndexFlatL2(data["start"].shape[1])
    index.add(data["start"])
    return lambda: {"labels": index.search(data["x"], 1)[1].ravel()}


def predict_fastkmeans(data: Data) -> Fit:
    from fastkmeans import FastKMeans

    k, d = data["start"].shape
    made = FastKMeans(d, k, gpu=False)
    made.centroids = data["start"]
    return lambda: {"labels": made.predict(data["x"])}


# ---- k-medoids


def medoids_sortal(data: Data) -> Fit:
    from sortal.cluster import kmedoids

    return lambda: {"medoids": kmedoids(data["x"], data["rows"], max_iter=100).medoids}


def _rust(data: Data, threads: int) -> Fit:
    import kmedoids

    seed = None if threads == 1 else 0  # without a seed it tries candidates in their order, as we do

    def fit() -> Answer:
        start = data["rows"].astype(np.uint64)
        found = kmedoids.fasterpam(data["x"], start, max_iter=100, random_state=seed, n_cpu=threads)
        return {"medoids": found.medoids.astype(np.int64)}

    return fit


def medoids_rust(data: Data) -> Fit:
    return _rust(data, 1)


def medoids_rustparallel(data: Data) -> Fit:
    return _rust(data, THREADS)


def vectors_clara(data: Data) -> Fit:
    from sortal.cluster import KMedoids

    def fit() -> Answer:
        made = KMedoids(len(data["rows"]), method="clara", random_state=0).fit(data["x"])
        return {"medoids": made.medoid_indices_}

    return fit


def vectors_sortal(data: Data) -> Fit:
    from sortal.cluster import KMedoids

    def fit() -> Answer:
        made = KMedoids(len(data["rows"]), init="random", random_state=0).fit(data["x"])
        return {"medoids": made.medoid_indices_}

    return fit


def vectors_rust(data: Data) -> Fit:
    """It takes distances only; scikit-learn makes them."""
    import kmedoids
    from sklearn.metrics import pairwise_distances

    def fit() -> Answer:
        whole = pairwise_distances(data["x"], n_jobs=THREADS)
        start = data["rows"].astype(np.uint64)
        found = kmedoids.fasterpam(whole, start, max_iter=100, random_state=None, n_cpu=1)
        return {"medoids": found.medoids.astype(np.int64)}

    return fit


# ---- DBSCAN; "labels" are scikit-learn's own numbers, a "partition" may number groups in its own way


def _density(estimator: Any, data: Data, answer: str = "labels") -> Fit:
    def fit() -> Answer:
        made = estimator(
            eps=float(data["eps"]),
            min_samples=int(data["min_samples"]),
            metric=str(data["metric"]),
            n_jobs=THREADS,
        )
        return {answer: made.fit_predict(data["x"])}

    return fit


def dbscan_sortal(data: Data) -> Fit:
    from sortal.cluster import DBSCAN

    return _density(DBSCAN, data)


def dbscan_sklearn(data: Data) -> Fit:
    from sklearn.cluster import DBSCAN

    return _density(DBSCAN, data)


def dbscan_intelex(data: Data) -> Fit:
    from sklearnex.cluster import DBSCAN

    return _density(DBSCAN, data, "partition")


def dbscan_wang(data: Data) -> Fit:
    """The package `dbscan`; it takes as many threads as the process has cores."""
    from dbscan import DBSCAN

    eps, least = float(data["eps"]), int(data["min_samples"])
    return lambda: {"partition": DBSCAN(data["x"], eps=eps, min_samples=least)[0]}


# ---- soft groups


def fuzzy_sortal(data: Data) -> Fit:
    from sortal.cluster import FuzzyCMeans

    def fit() -> Answer:
        n = int(data["iterations"])
        made = FuzzyCMeans(len(data["start"]), init=data["start"], max_iter=n, tol=0).fit(data["x"])
        return {"centers": made.cluster_centers_}

    return fit


def fuzzy_skfuzzy(data: Data) -> Fit:
    """It starts from memberships, float64, and moves the centers before the first step."""
    from scipy.spatial.distance import cdist
    from skfuzzy import cmeans

    x, start = data["x"].astype(np.float64), data["start"].astype(np.float64)
    near = 1 / cdist(start, x, "sqeuclidean").clip(1e-12)
    near /= near.sum(axis=0)

    def fit() -> Answer:
        steps = int(data["iterations"])
        return {"centers": cmeans(x.T, len(start), 2.0, error=0.0, maxiter=steps, init=near)[0]}

    return fit


def soft_sortal(data: Data) -> Fit:
    from sortal.cluster import SoftKMeans

    def fit() -> Answer:
        made = SoftKMeans(
            len(data["start"]),
            init=data["start"],
            stiffness=float(data["stiffness"]),
            max_iter=int(data["iterations"]),
            tol=0,
        ).fit(data["x"])
        return {"centers": made.cluster_centers_}

    return fit


def soft_numpy(data: Data) -> Fit:
    """Whole arrays, float32: no package has the method."""
    x, beta = data["x"], np.float32(data["stiffness"])
    squares = np.einsum("nd,nd->n", x, x)[:, None]

    def memberships(centers: np.ndarray) -> np.ndarray:
        power = -beta / 2 * (squares - 2 * x @ centers.T + np.einsum("kd,kd->k", centers, centers))
        power -= power.max(axis=1, keepdims=True)
        np.exp(power, out=power)
        power /= power.sum(axis=1, keepdims=True)
        return power

    def fit() -> Answer:
        centers = data["start"]
        for _ in range(int(data["iterations"])):
            share = memberships(centers)
            centers = share.T @ x / share.sum(axis=0)[:, None]
        return {"centers": centers, "memberships": memberships(centers)}

    return fit


def soft_skfuzzy(data: Data) -> Fit:
    """Another method of the same size, fuzzy c-means: the goal is set against its time, so no answer."""
    fit = fuzzy_skfuzzy(data)

    def nothing() -> Answer:
        fit()
        return {}

    return nothing


# ---- kernel k-means


def kernel_sortal(data: Data) -> Fit:
    from sortal.cluster import Kernel, kernel_kmeans

    def fit() -> Answer:
        kernel = Kernel.over(data["x"], "rbf", float(data["gamma"]), 3, 1.0)
        found = kernel_kmeans(kernel, data["labels"], int(data["k"]), max_iter=int(data["iterations"]))
        return {"labels": found.labels}

    return fit


def kernel_numpy(data: Data) -> Fit:
    """The whole matrix, float32."""
    x, k = data["x"], int(data["k"])

    def fit() -> Answer:
        squares = np.einsum("nd,nd->n", x, x)
        whole = x @ x.T
        whole *= 2
        whole -= squares
        whole -= squares[:, None]
        whole *= np.float32(data["gamma"])
        np.exp(whole, out=whole)
        labels = data["labels"]
        for _ in range(int(data["iterations"])):
            member = (labels[:, None] == np.arange(k)).astype(np.float32)
            mass = member.sum(axis=0).clip(1)
            means = whole @ member / mass
            norms = (member * means).sum(axis=0) / mass
            before, labels = labels, (norms - 2 * means).argmin(axis=1).astype(np.int32)
            if np.array_equal(before, labels):
                break
        return {"labels": labels}

    return fit


def kernel_tslearn(data: Data) -> Fit:
    """It draws its start by `randint` and takes none: the draw is replaced. It leaves out the norms of the
    means, so its answer is compared by what it costs."""
    import warnings

    warnings.simplefilter("ignore")
    from tslearn.clustering import KernelKMeans

    class Given(np.random.RandomState):
        def randint(self, *args: Any, **kwargs: Any) -> Any:
            return data["labels"].copy()

    def fit() -> Answer:
        made = KernelKMeans(
            int(data["k"]),
            kernel="rbf",
            kernel_params={"gamma": float(data["gamma"])},
            max_iter=int(data["iterations"]),
            tol=1e-6,
            n_jobs=THREADS,
            random_state=Given(),
        ).fit(data["x"])
        return {"labels": np.asarray(made.labels_, np.int32)}

    return fit
