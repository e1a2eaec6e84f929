"""Keywords: what a group has and the others have not."""

from sortal.explore import keywords


def test_words_that_set_groups_apart():
    groups = {0: ["the cat sleeps", "the cat eats"], 5: ["the dog sleeps", "the dog eats"]}
    assert keywords(groups) == {0: ["cat"], 5: ["dog"]}


def test_most_and_the_alphabet():
    groups = {0: ["bx ax c", "other"], 1: ["more"]}
    assert keywords(groups, most=2)[0] == ["ax", "bx"]


def test_no_word_at_all():
    assert keywords({0: ["!"], 1: []}) == {0: [], 1: []}
