"""sortal compare"""

import re
import time
from typing import TYPE_CHECKING, Any

import click

from sortal.cli.method import Number

if TYPE_CHECKING:
    import numpy as np

    from sortal.cluster import Comparison
    from sortal.pile import Pile


@click.command()
@click.argument("pile", type=click.Path())
@click.option(
    "--methods",
    default="graph,kmeans,spherical,dbscan",
    show_default=True,
    metavar="NAME,...",
    help="As for organize --method; parameters in parentheses.",
)
@click.option("-k", "--groups", "k", type=Number(), help="The number of groups.  [default: as the pile has]")
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same groups.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def compare(pile: str, methods: str, k: int | str | None, seed: int, as_json: bool) -> None:
    """Group a pile in several ways, side by side, and say where they disagree.

    Nothing in the pile changes.

    \b
    sortal compare photos.sortal
    sortal compare photos.sortal -k 12 --methods "graph,kmeans,sklearn.cluster.HDBSCAN(min_cluster_size=20)"
    """
    import sortal
    from sortal.cli.output import print_json
    from sortal.errors import InputError
    from sortal.wishes import check_seed, checked_grouper, read_method

    asked = [read_method(text) for text in _split(methods)]
    checked_grouper(k, None, seed)
    check_seed(seed)
    if len(asked) < 2:
        raise click.UsageError("--methods wants two methods or more, with commas between.")
    with sortal.open(pile) as opened:
        if not len(opened):
            raise InputError(f"{pile} has no vectors yet: run organize on it first.")
        number = k if k is not None else max(len(opened.groups), 1)
        rows, labels = _run(opened, asked, number, seed)
        record = _shape(opened, rows, labels)
    if as_json:
        print_json(record)
    else:
        _print(record)


def _run(
    pile: "Pile", asked: list[tuple[str, dict[str, Any]]], k: int | str, seed: int
) -> tuple[list[dict[str, Any]], list["np.ndarray"]]:
    """A row for each method, and the labels of those that could run."""
    from dataclasses import asdict

    from sortal.cluster import METHODS, group_by, indices, takes_number
    from sortal.errors import InputError

    rows, groupings = [], []
    for method, params in asked:
        click.echo(f"grouping {len(pile):,} items by {method}", err=True)
        start = time.perf_counter()
        row: dict[str, Any] = {"method": method, "params": params, "k": k, "refused": None}
        try:
            if method in METHODS or method.startswith("sklearn."):
                row["k"] = k if takes_number(method) and "n_clusters" not in params else "auto"
            labels = group_by(method, pile.vectors, row["k"], seed, params, views=pile.views).labels
        except InputError as e:
            rows.append(row | {"refused": str(e)})
            continue
        row["seconds"] = round(time.perf_counter() - start, 3)
        found = asdict(indices(pile.vectors, labels, seed=seed))
        rows.append(row | found | {"names": _agreement(pile, labels)})
        groupings.append(labels)
    if not groupings:
        raise InputError(f"no method could group this pile; {asked[0][0]}: {rows[0]['refused']}")
    return rows, groupings


def _agreement(pile: "Pile", labels: "np.ndarray") -> float | None:
    """Adjusted Rand index against the names that people gave; None where there are none."""
    import numpy as np

    from sortal.cluster import agreement

    named = np.array([i for i, name in enumerate(pile.names) if name is not None], dtype=np.int64)
    return agreement([pile.names[i] for i in named], labels[named]).ari if len(named) else None


def _shape(pile: "Pile", rows: list[dict[str, Any]], groupings: list["np.ndarray"]) -> dict[str, Any]:
    from sortal import cluster

    ran = [i for i, row in enumerate(rows) if row["refused"] is None]
    for row in rows:
        row |= {key: row.get(key) for key in MEASURES}
    found: Comparison | None = cluster.compare(groupings) if len(groupings) > 1 else None
    return {
        "pile": str(pile.path),
        "items": len(pile),
        "methods": rows,
        "agreement": [] if found is None else [
            {"a": ran[a], "b": ran[b], "ari": float(found.agreement[a, b])}
            for a in range(len(ran)) for b in range(a + 1, len(ran))
        ],
        "flows": [] if found is None else [
            {"a": ran[f.a], "b": ran[f.b], "group_a": f.group_a, "group_b": f.group_b, "items": f.n_items}
            for f in found.flows[:20]
        ],
        "disputed": [] if found is None else [
            {"path": pile.paths[i], "share": float(found.disputed[i])} for i in found.most_disputed(20)
        ],
    }  # fmt: skip


MEASURES = (
    "n_groups", "left_out", "silhouette", "davies_bouldin", "calinski_harabasz", "density", "names", "seconds"
)  # fmt: skip


def _print(record: dict[str, Any]) -> None:
    from sortal.data import shown

    rows = record["methods"]
    width = max(len(row["method"]) for row in rows)
    titles = ("groups", "left out", "silhouette", "davies-b.", "calinski-h.", "density", "names", "seconds")
    click.echo(" " * (width + 5) + "  ".join(f"{title:>11}" for title in titles))
    for i, row in enumerate(rows):
        if row["refused"] is not None:
            click.echo(f"{i:>2}  {row['method']:<{width}}  {shown(row['refused'])}")
            continue
        cells = "  ".join(f"{_cell(row[key]):>11}" for key in MEASURES)
        click.echo(f"{i:>2}  {row['method']:<{width}} {cells}")
    click.echo("higher is better, but for davies-b.; the indices see the vectors, names what people said")
    for pair in record["agreement"]:
        a, b = rows[pair["a"]]["method"], rows[pair["b"]]["method"]
        click.echo(f"\n{a} and {b} agree by {pair['ari']:.2f} (adjusted Rand index)")
        flows = [flow for flow in record["flows"] if (flow["a"], flow["b"]) == (pair["a"], pair["b"])]
        for flow in flows[:3]:
            click.echo(
                f"    {flow['items']:,} items of {a} {flow['group_a']} are in {b} {flow['group_b']}, "
                "which is not its twin"
            )
    if record["disputed"]:
        click.echo("\nmost disputed (share of its companions that an item changes):")
    for item in record["disputed"][:5]:
        click.echo(f"{item['share']:6.2f}  {shown(item['path'])}")


def _cell(value: float | int | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else f"{value:,}"


def _split(text: str) -> list[str]:
    """At commas that stand in no parentheses, brackets or quotes."""
    parts = re.findall(
        r'(?:[^,()\[\]"]|"(?:[^"\\]|\\.)*"|\((?:[^()"]|"(?:[^"\\]|\\.)*")*\)|[()\[\]"])+', text
    )
    return [part.strip() for part in parts if part.strip()]
