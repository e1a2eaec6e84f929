import numpy as np
import pytest

from sortal.errors import InputError
from sortal.explore import Conflict, agreement, name_groups


def test_majority_share_and_conflicts():
    names = ["ant", None, "bee", "ant", "bee", "bee", None, "cow", "ant"]
    labels = np.array([0, 0, 0, 0, 4, 4, 9, -1, 4])
    zero, four, nine = name_groups(names, labels)
    assert (zero.number, zero.name, zero.named, zero.share) == (0, "ant", 3, 2 / 3)
    assert zero.conflicts == (Conflict("bee", 1, (2,)),)
    assert (four.name, four.conflicts[0].positions) == ("bee", (8,))
    assert (nine.name, nine.named, nine.share, nine.conflicts) == (None, 0, None, ())


def test_a_tie_goes_to_the_name_that_came_first():
    assert name_groups(["zebra", "ant"], np.zeros(2, int))[0].name == "zebra"


def test_positions_of_a_conflict_are_bounded():
    (group,) = name_groups(["a"] * 50 + ["b"] * 40, np.zeros(90, int))
    assert group.conflicts[0].size == 40
    assert group.conflicts[0].positions == tuple(range(50, 62))


def test_agreement_is_over_named_items_and_relabelling_changes_nothing():
    names = ["a", "a", "b", "b", None, "c"]
    perfect = agreement(names, np.array([7, 7, 2, 2, 2, 0]))
    assert (perfect.named, perfect.ari, perfect.nmi, perfect.accuracy) == (5, 1, 1, 1)
    # a and b in one group: 2 of 5 stay unmatched
    assert agreement(names, np.array([1, 1, 1, 1, 0, 0])).accuracy == 3 / 5
    # one name in two groups: only one of the two can be matched
    assert agreement(["a"] * 4, np.array([0, 0, 0, 1])).accuracy == 3 / 4


def test_left_out_items_are_never_right():
    assert agreement(["a", "a"], np.array([-1, -1])).accuracy == 0
    assert agreement(["a", "a", "b"], np.array([-1, 0, 1])).accuracy == 2 / 3


def test_nothing_named():
    assert agreement([None, None], np.zeros(2, int)) is None
    assert agreement([], np.zeros(0, int)) is None
    assert name_groups([], np.zeros(0, int)) == []


def test_lengths_must_agree():
    with pytest.raises(InputError, match="2 here"):
        name_groups(["a", "b"], np.zeros(3, int))
