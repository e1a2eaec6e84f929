"""Names that cannot be learned are refused before anything runs; uneven ones are said."""

import numpy as np
import pytest

from sortal.errors import InputError
from sortal.train.labels import balancing_weights, check_labels

NAMES = ("cat", "dog", "owl")


@pytest.mark.parametrize(
    ("labels", "held_out", "said"),
    [
        ([0, 1, -1, -1], False, "labels must be given for every item; 2 items of 4 has none"),
        ([1, 1, 1], False, "at least two names, so that there is a choice to learn; all 3 are 'dog'"),
        ([0, 0, 1, 1, 2], True, "two items, one to learn from and one to be judged by; 'owl' has one"),
        ([0, 1, 2, 2], True, "'cat', 'dog' have one"),
        ([], False, "there are none"),
    ],
)
def test_names_that_cannot_be_learned(labels, held_out, said):
    with pytest.raises(InputError, match=said):
        check_labels(np.array(labels, np.int64), NAMES, held_out=held_out)


def test_names_that_can():
    check_labels(np.array([0, 1, 2]), NAMES, held_out=False)
    check_labels(np.array([0, 0, 1, 1]), NAMES, held_out=True)  # a name without items takes no part


def test_uneven_names_are_weighted_and_said():
    assert balancing_weights(np.array([0, 1, 2] * 4 + [0]), NAMES) == (None, None)
    weights, said = balancing_weights(np.array([0] * 6 + [1] * 2 + [2]), NAMES)
    assert weights.tolist() == pytest.approx([0.5, 1.5, 3])
    assert said.startswith("names are uneven, 'cat' has 6 items, 'owl' 1: each item is weighted")
