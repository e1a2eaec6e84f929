"""sortal cluster"""

from typing import TYPE_CHECKING, Any

import click

from sortal.cli.method import METHOD, PARAM, SUGGEST, Number, method_text, wanted_k

if TYPE_CHECKING:
    import numpy as np

    from sortal.cli.tables import Table
    from sortal.cluster import Grouped, Suggestion


@click.command()
@click.argument("table", type=click.Path())
@click.option("--out", type=click.Path(), help="Where to write; by default NAME.groups.csv beside the table.")
@click.option("--columns", metavar="NAME,...", help="Only these columns.  [default: all]")
@click.option("--label-column", default="group", show_default=True, help="What to call the new column.")
@click.option("-k", "--groups", "k", type=Number(), help="The number of groups, or auto for a guess.")
@METHOD
@PARAM
@SUGGEST
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same groups.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def cluster(
    table: str,
    out: str | None,
    columns: str | None,
    label_column: str,
    k: int | str | None,
    method: str | None,
    params: tuple[str, ...],
    suggested: bool,
    seed: int,
    as_json: bool,
) -> None:
    """Group the rows of a table of numbers: .csv, .npy or .parquet.

    Without --method: kmeans for fewer than 10 columns or 100 rows, else graph.

    A copy of the table is written with the groups as one more column; -1 is left out. Columns count as they
    are: scale them yourself where their units differ.

    \b
    sortal cluster table.csv -k 4
    sortal cluster table.csv --columns height,weight --suggest
    sortal cluster vectors.npy --method dbscan --param eps=0.5 --out grouped.npy
    """
    from pathlib import Path

    from sortal.cli.output import print_json
    from sortal.cli.tables import read_table
    from sortal.data import shown
    from sortal.errors import InputError
    from sortal.progress import counted
    from sortal.whole import checked_target, write_whole

    source = Path(table)
    if not source.name:
        raise InputError(f"{shown(table)} must be a table; it is a folder: give a file in it.")
    target = checked_target(out if out is not None else source.with_suffix(f".groups{source.suffix}"))
    if target.suffix.lower() != source.suffix.lower():
        raise InputError(
            f"--out must be a {source.suffix} as the table is; got {shown(str(target))}: give such a name."
        )
    asked, number = method_text(method, params), wanted_k(k, suggested)
    only = tuple(name.strip() for name in columns.split(",")) if columns is not None else ()
    read = read_table(source, only, label_column)
    way, found, suggestion = _group(read, number, asked, seed)
    write_whole(target, read.with_column(label_column, found.labels))
    record = _shape(read, found, suggestion) | way | {"table": table, "out": str(target), "seed": seed}
    if as_json:
        print_json(record)
        return
    groups = counted(record["n_groups"], "group")
    sizes = ", ".join(f"{size:,}" for size in record["sizes"][:12])
    left_out = f", {record['left_out']:,} left out" if record["left_out"] else ""
    more = ", ..." if len(record["sizes"]) > 12 else ""
    click.echo(f"{counted(record['rows'], 'row')} in {groups} ({sizes}{more}){left_out}")
    click.echo(f"wrote {shown(str(target))}")


def _group(
    table: "Table", k: int | str | None, method: str | None, seed: int
) -> tuple[dict[str, Any], "Grouped", "Suggestion | None"]:
    """How it was grouped, and what came out."""
    from sortal import cluster as library
    from sortal.wishes import check_seed, checked_grouper, read_method

    check_seed(seed)
    checked_grouper(k, method, seed)
    evidence = k == "suggest"  # asked for
    name, params = (None, {}) if method is None else read_method(method)
    if name is None and k != "suggest":
        name, why = _usual(table.x)
        _say(f"by {name}: {why} (--method says otherwise)")
        if name == "kmeans" and (k is None or k == "auto"):  # it guesses no number itself
            k = "suggest"
    suggestion = None
    if k == "suggest":
        _say("looking for what suits these data, on a sample")
        suggestion = library.suggest(
            table.x, methods=None if name is None else (name,), seed=seed, callback=_say
        )
        _say(str(suggestion) if evidence else str(suggestion).split("\n", 1)[0])
        name, k, params = suggestion.method, suggestion.k, suggestion.params | params
    k = "auto" if k is None else k
    assert name is not None
    found = library.group_by(name, table.x, k, seed, params)
    for warning in found.evidence.get("warnings", []):
        _say(f"{name} warns: {warning}")
    return {"method": name, "k": k, "params": params}, found, suggestion


def _usual(x: "np.ndarray") -> tuple[str, str]:
    """The method where none is asked for, and why.

    Adjusted Rand index with k given, k-means against graph: iris .73 / .63, 1,000 blobs x 5 .98 / .93,
    50 digits .74 / .64, 300 digits .79 / .86, digits .67 / .82. For few columns the graph also guesses k
    badly: 15 for 300 blobs x 2 of 4 groups.
    """
    n, d = x.shape
    if d < 10:
        return "kmeans", f"{d} column{'s' * (d > 1)}, fewer than 10"
    if n < 100:
        return "kmeans", f"{n} row{'s' * (n > 1)}, fewer than 100"
    return "graph", f"{d} columns and {n:,} rows, 10 and 100 or more"


def _say(line: str) -> None:
    click.echo(line, err=True)


def _shape(table: "Table", found: "Grouped", suggestion: "Suggestion | None") -> dict[str, Any]:
    import numpy as np

    labels = found.labels
    return {
        "rows": len(labels),
        "columns": table.columns,
        "n_groups": found.n_groups,
        "left_out": int((labels < 0).sum()),
        "sizes": np.bincount(labels[labels >= 0]).tolist(),
        "suggestion": None if suggestion is None else suggestion.to_json(),
    }
