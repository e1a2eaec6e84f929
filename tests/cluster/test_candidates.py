from sortal.cluster import Candidate
from sortal.cluster.candidates import guess


def test_silhouette_decides_among_the_plausible():
    candidates = [
        Candidate(2, 0.5, 0.9, 0.3),
        Candidate(5, 0.78, 0.4, 0.0),
        Candidate(6, 0.8, 0.5, 0.0),
        Candidate(9, 0.82, 0.3, 0.0),
    ]
    assert guess(candidates) == 6  # two groups look best and lose too much modularity


def test_no_structure_at_all_is_still_answered():
    assert guess([Candidate(2, -0.1, 0.0, 0.0), Candidate(3, -0.2, 0.0, 0.0)]) == 2
