"""sortal show"""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from sortal.progress import counted

if TYPE_CHECKING:
    from sortal.pile import Group, Pile


@click.command()
@click.argument("pile", type=click.Path())
@click.option("--group", type=int, help="Only this group, with all its typical members and outliers.")
@click.option("--like", metavar="IMAGE", help="The items of the pile most like this one of them.")
@click.option("--html", type=click.Path(), help="Write one self-contained page.")
@click.option("--quarantine", is_flag=True, help="List the files that could not be read, with the reason.")
@click.option("--history", is_flag=True, help="List every act of naming, merging and splitting.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show(
    pile: str,
    group: int | None,
    like: str | None,
    html: str | None,
    quarantine: bool,
    history: bool,
    as_json: bool,
) -> None:
    """Show the groups of a pile.

    Size, tightness (1: all members alike), typical members, outliers, what people said of them.

    \b
    sortal show photos.sortal
    sortal show photos.sortal --group 3
    sortal show photos.sortal --like photos/0001.jpg
    sortal show photos.sortal --html report.html
    sortal show photos.sortal --quarantine
    """
    import sortal

    views = {"--group": group is not None, "--like": like, "--quarantine": quarantine, "--history": history}
    _one_view(views | ({} if as_json else {"--html": html}))
    with sortal.open(pile) as opened:
        if html is not None:
            click.echo(f"drawing the map of {counted(len(opened), 'item')}", err=True)
            opened.write_report(html)
            if not as_json:
                click.echo(f"wrote {html}")
                return
        if quarantine:
            _quarantine(opened, as_json)
        elif history:
            _history(opened, as_json)
        elif like is not None:
            _like(opened, like, as_json)
        else:
            _groups(opened, group, as_json)


def _one_view(asked: Mapping[str, object]) -> None:
    views = [option for option, given in asked.items() if given]
    if len(views) > 1:
        raise click.UsageError(f"{views[0]} and {views[1]} are two views of a pile: ask for one at a time")


def _groups(pile: "Pile", only: int | None, as_json: bool) -> None:
    from sortal.cli.output import print_candidates, print_json
    from sortal.cli.shapes import pile_shape
    from sortal.data import shown
    from sortal.errors import InputError

    chosen = [group for group in pile.groups if only is None or group.number == only]
    if only is not None and not chosen:
        raise InputError(f"group must be one of {pile.group_numbers() or 'none yet'}; got {only}.")
    if as_json:
        print_json(pile_shape(pile, chosen))
        return
    made = pile.grouping
    how = f"{made.method}, k={made.parameters['k']}, seed {made.seed}" if made else "not grouped yet"
    click.echo(
        f"{counted(len(pile), 'item')}, {counted(len(pile.groups), 'group')}; "
        f"encoder {shown(pile.encoder.name)}; {shown(how)}"
    )
    if made and made.evidence["candidates"] and only is None:
        print_candidates(made.evidence["candidates"], int(pile.labels.max()) + 1)
    few, words = 3 if only is None else 99, pile.keywords()
    texts = pile.excerpts([p for group in chosen for p in _examples(group, few)], 80)
    for group in chosen:
        _group(pile, group, few, words.get(group.number, ""), texts)
    if pile.quarantine and only is None:
        kinds = Counter(row.kind for row in pile.quarantine)
        text = ", ".join(f"{count:,} {shown(kind)}" for kind, count in kinds.most_common())
        click.echo(f"\nquarantine: {text} (--quarantine lists them)")


def _examples(group: "Group", few: int) -> tuple[int, ...]:
    return (*group.shape.typical[:few], *group.shape.outliers[:few])


def _group(pile: "Pile", group: "Group", few: int, words: str, texts: Mapping[int, str]) -> None:
    from sortal.data import shown

    name = shown(group.name) if group.name is not None else "-"
    click.echo(
        f"\n{group.number:>4}  {name}  {counted(group.size, 'item')}, "
        f"tightness {group.shape.tightness:.2f}{_said(group)}"
    )
    if words:
        click.echo(f"      {shown(words)}")
    for title, positions in (("typical", group.shape.typical), ("outlier", group.shape.outliers)):
        for position in positions[:few]:
            said = f"  {shown(texts[position])}" if position in texts else ""
            click.echo(f"      {title}  {shown(pile.paths[position].removeprefix(pile.shared_folder))}{said}")


def _said(group: "Group") -> str:
    """What people said of the members, where it is not simply that all have the group's name."""
    called = group.called
    alike = round((called.share or 0) * called.named)
    parts = [f"{alike:,} of {group.size:,} named so"] if 0 < alike < group.size else []
    if called.named > alike:
        parts.append(f"{called.named - alike:,} otherwise")
    if called.none:
        parts.append(f"{called.none:,} marked none of these")
    return "".join(f", {part}" for part in parts)


def _like(pile: "Pile", item: str, as_json: bool) -> None:
    from sortal.cli.output import print_json
    from sortal.data import shown

    found = [(pile.paths[one.position], one.similarity) for one in pile.neighbors(item)]
    if as_json:
        print_json({"neighbors": [{"path": path, "similarity": similarity} for path, similarity in found]})
        return
    for path, similarity in found:
        click.echo(f"{similarity:6.3f}  {shown(path)}")


def _quarantine(pile: "Pile", as_json: bool) -> None:
    from sortal.cli.output import print_json
    from sortal.cli.shapes import quarantine_shape
    from sortal.data import shown

    if as_json:
        print_json(quarantine_shape(pile.quarantine))
        return
    for row in pile.quarantine:
        click.echo(f"{shown(row.kind)}: {shown(row.path)}: {shown(row.reason)}")
    if not pile.quarantine:
        click.echo("nothing is in quarantine: every file could be read.")


def _history(pile: "Pile", as_json: bool) -> None:
    from sortal.cli.output import print_json
    from sortal.data import printable

    if as_json:
        print_json({"acts": pile.history})
        return
    for act in pile.history:
        undone = "" if act["counts"] or act["kind"] == "undo" else "  (undone)"
        detail = act["detail"].get("name") or " ".join(
            f"{key} {value}" for key, value in act["detail"].items()
        )
        line = f"{act['act']:>4}  {act['time']}  {act['kind']}  {act['items']:,} items  {detail}{undone}"
        click.echo(printable(line))
