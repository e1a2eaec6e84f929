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


def test_names_are_told_by_runs_of_letters():
    sounds = [a + b for a in "bdgkm" for b in "aeiou"]
    groups = {0: [f"{sound}rov" for sound in sounds], 3: [f"Mc{sound}l" for sound in sounds]}
    found = keywords(groups)
    assert found[0][0] == "-rov"
    assert found[3][0] in ("mc-", "-l")
    assert all(len(run.strip("-")) > 1 for runs in found.values() for run in runs)
    assert keywords({0: groups[0] + ["he said"] * 2, 3: groups[3]})[0][0] == "he"
