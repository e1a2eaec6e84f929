"""The methods by name."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sortal.cluster import METHODS
from sortal.errors import InputError
from sortal.update import METHODS as NAMES


def test_pile_names_the_methods_there_are():
    assert tuple(METHODS) == NAMES


@pytest.mark.parametrize("method", METHODS)
def test_every_method_numbers_groups_by_size_and_gives_unit_rows(method):
    vectors = load_digits().data[:300].astype(np.float32)
    found = METHODS[method](vectors, 5, 0)
    sizes = np.bincount(found.labels)
    assert found.n_groups == 5
    assert len(sizes) == 5
    assert list(sizes) == sorted(sizes, reverse=True)
    assert np.allclose(np.linalg.norm(found.points, axis=1), 1, atol=1e-6)  # float32


def test_kmeans_cannot_guess():
    with pytest.raises(InputError, match="kmeans needs the number of groups; got k='auto'"):
        METHODS["kmeans"](np.eye(4, dtype=np.float32), "auto", 0)
