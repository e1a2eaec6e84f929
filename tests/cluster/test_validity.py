import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

import sortal.cluster
from sortal.cluster import agreement, matched_accuracy
from sortal.errors import InputError


def test_groups_are_matched_one_to_one():
    names = ["a", "a", "a", "b", "b", "c"]
    assert matched_accuracy(names, np.array([1, 1, 1, 0, 0, 2])) == 1
    assert matched_accuracy(names, np.array([0, 0, 0, 0, 0, 0])) == 0.5
    # Taking the commonest name for each group would count 6 of 6; one to one, two of group "a" are wrong.
    assert matched_accuracy(names, np.array([0, 1, 1, 2, 2, 3])) == pytest.approx(5 / 6)
    # What a method left out is wrong, also where all that was left out carries one name.
    assert matched_accuracy(names, np.array([-1, 0, 0, 1, 1, -1])) == pytest.approx(4 / 6)
    assert matched_accuracy(names, np.full(6, -1)) == 0


def test_agreement_gathers_three_measures():
    names, labels = np.array([0, 0, 1, 1, 2, 2]), np.array([1, 1, 0, 0, 0, 2])
    found = agreement(names, labels)
    assert found.accuracy == pytest.approx(5 / 6)
    assert found.ari == adjusted_rand_score(names, labels)
    assert 0 < found.nmi < 1


def test_lengths_must_agree():
    with pytest.raises(InputError, match="got 2 and 3"):
        matched_accuracy(["a", "b"], np.zeros(3, int))


def test_the_package_lists_all_it_offers():
    assert len(set(sortal.cluster.__all__)) == len(sortal.cluster.__all__)
    assert all(hasattr(sortal.cluster, name) for name in sortal.cluster.__all__)
