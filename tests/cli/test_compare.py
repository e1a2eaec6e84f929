"""sortal compare: several groupings side by side, and nothing changed."""

import numpy as np

from sortal.cli.compare import _split


def test_compare(sortal, pile):
    before = {path.name: path.read_bytes() for path in (pile / "segments").iterdir()}
    shown = sortal("show", pile, "--json").out
    methods = "graph,kmeans(n_init=2),sklearn.cluster.HDBSCAN(min_cluster_size=5)"
    ran = sortal("compare", pile, "--methods", methods, "--json")
    assert ran.code == 0, ran.err
    record = ran.json("compare")
    assert [row["method"] for row in record["methods"]] == ["graph", "kmeans", "sklearn.cluster.HDBSCAN"]
    assert [row["k"] for row in record["methods"]] == [5, 5, "auto"]  # as the pile has
    assert record["methods"][1]["params"] == {"n_init": 2}
    assert len(record["agreement"]) == 3
    assert record["disputed"][0]["share"] >= record["disputed"][-1]["share"] > 0
    assert np.all(np.diff([flow["items"] for flow in record["flows"]]) <= 0)
    assert sortal("show", pile, "--json").out == shown
    assert {path.name: path.read_bytes() for path in (pile / "segments").iterdir()} == before


def test_compare_in_words(sortal, pile):
    sortal("name", pile, "0", "zero")
    ran = sortal("compare", pile, "-k", "4", "--methods", "graph,kmeans,kmeans(bogus=1)")
    assert ran.code == 0
    assert "graph and kmeans agree by" in ran.out
    assert "kmeans takes the parameters" in ran.out
    assert "most disputed" in ran.out


def test_compare_refuses(sortal, pile, tmp_path):
    assert "two methods or more" in sortal("compare", pile, "--methods", "graph").error(2)
    assert "missing" in sortal("compare", "missing").error()
    assert (
        "no method could group this pile; a: method must be"
        in sortal("compare", pile, "--methods", "a,b").error()
    )
    assert "k must be" in sortal("compare", pile, "-k", "0").error()
    assert "seed must be" in sortal("compare", pile, "--seed", "-1").error()
    assert "must be JSON or a single word" in sortal("compare", pile, "--methods", "a,b(x={)").error()
    assert "sortal compare photos.sortal" in sortal("compare", "--help").out


def test_methods_are_split_at_commas_outside():
    assert _split('a, b(x=1,y="),("), sklearn.cluster.C(z=[1,2])') == [
        "a", 'b(x=1,y="),(")', "sklearn.cluster.C(z=[1,2])"
    ]  # fmt: skip
