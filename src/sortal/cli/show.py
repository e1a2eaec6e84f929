"""sortal show"""

import os
from collections import Counter
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sortal.pile import Pile


@click.command()
@click.argument("pile", type=click.Path())
@click.option("--group", type=int, help="Only this group, with all its typical members and outliers.")
@click.option("--html", type=click.Path(), help="Write one self-contained page.")
@click.option("--quarantine", is_flag=True, help="List the files that could not be read, with the reason.")
@click.option("--history", is_flag=True, help="List every act of naming, merging and splitting.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show(
    pile: str, group: int | None, html: str | None, quarantine: bool, history: bool, as_json: bool
) -> None:
    """Show the groups of a pile: size, tightness, typical members, outliers.

    \b
    sortal show photos.sortal
    sortal show photos.sortal --group 3
    sortal show photos.sortal --html report.html
    sortal show photos.sortal --quarantine
    """
    import sortal
    from sortal.cli.output import print_json
    from sortal.cli.shapes import group_shape, pile_shape, quarantine_shape

    with sortal.open(pile) as opened:
        if html is not None:
            opened.write_report(html)
            if not as_json:
                click.echo(f"wrote {html}")
                return
        chosen = [one for one in opened.groups if group is None or one.number == group]
        if group is not None and not chosen:
            raise sortal.InputError(f"group must be one of 0 to {len(opened.groups) - 1}; got {group}.")
        if as_json and quarantine:
            print_json(quarantine_shape(opened.quarantine))
        elif as_json and history:
            print_json({"acts": opened.history})
        elif as_json:
            print_json(pile_shape(opened) | {"groups": [group_shape(opened, one) for one in chosen]})
        elif quarantine:
            _quarantine(opened)
        elif history:
            _history(opened)
        else:
            _groups(opened, group)


def _groups(pile: "Pile", only: int | None) -> None:
    from sortal.data import shown

    made = pile.grouping
    how = f"{made.method}, k={made.parameters['k']}, seed {made.seed}" if made else "not grouped yet"
    click.echo(f"{len(pile):,} items, {len(pile.groups)} groups; encoder {pile.encoder.name}; {how}")
    if made and made.evidence["candidates"] and only is None:
        _candidates(made.evidence["candidates"], len(set(pile.labels.tolist())))
    base = _shared_folder(pile.paths)
    for group in pile.groups:
        if only is not None and group.number != only:
            continue
        few = 3 if only is None else 99
        name = group.name if group.name is not None else "-"
        other = (
            f", {1 - (group.called.share or 1):.0%} named otherwise" if (group.called.share or 1) < 1 else ""
        )
        click.echo(
            f"\n{group.number:>4}  {name}  {group.size:,} items, tightness {group.shape.tightness:.2f}{other}"
        )
        for title, positions in (("typical", group.shape.typical), ("outlier", group.shape.outliers)):
            for position in positions[:few]:
                click.echo(f"      {title}  {shown(pile.paths[position].removeprefix(base))}")
    if pile.quarantine and only is None:
        kinds = Counter(row.kind for row in pile.quarantine)
        text = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
        click.echo(f"\nquarantine: {text} (--quarantine lists them)")


def _shared_folder(paths: list[str]) -> str:
    """The folder that all paths lie in, with its slash; empty where there is none."""
    try:
        return os.path.join(os.path.commonpath({os.path.dirname(path) for path in paths}), "")
    except ValueError:
        return ""


def _candidates(rows: list[dict[str, float]], n_found: int) -> None:
    click.echo(f"the number of groups is a guess; candidates by evidence, {n_found} now:")
    best = sorted(rows, key=lambda row: -row["silhouette"])[:5]
    for row in best:
        click.echo(
            f"      k={row['n_clusters']:<3} silhouette {row['silhouette']:.3f}"
            f"  modularity {row['modularity']:.3f}  eigengap {row['eigengap']:.3f}"
        )


def _quarantine(pile: "Pile") -> None:
    from sortal.data import shown

    for row in pile.quarantine:
        click.echo(f"{row.kind}: {shown(row.path)}: {row.reason}")
    if not pile.quarantine:
        click.echo("nothing is in quarantine: every file could be read.")


def _history(pile: "Pile") -> None:
    for act in pile.history:
        undone = "" if act["counts"] or act["kind"] == "undo" else "  (undone)"
        detail = act["detail"].get("name") or " ".join(
            f"{key} {value}" for key, value in act["detail"].items()
        )
        click.echo(f"{act['act']:>4}  {act['time']}  {act['kind']}  {act['items']:,} items  {detail}{undone}")
