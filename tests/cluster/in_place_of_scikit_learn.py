"""A plugin of pytest: scikit-learn's own tests find our classes where they look for theirs."""

import sklearn.cluster

import sortal.cluster


def dbscan(X, eps=0.5, **parameters):
    """scikit-learn's function gives a pair where ours gives a record."""
    found = sortal.cluster.dbscan(X, eps, **parameters)
    return found.core_sample_indices, found.labels


sklearn.cluster.KMeans = sortal.cluster.KMeans
sklearn.cluster.kmeans_plusplus = sortal.cluster.kmeans_plusplus
sklearn.cluster.DBSCAN = sortal.cluster.DBSCAN
sklearn.cluster.dbscan = dbscan
