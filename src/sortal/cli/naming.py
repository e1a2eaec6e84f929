"""sortal name, unname, none, merge, split, undo, export: a person's acts."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from sortal.progress import counted

if TYPE_CHECKING:
    from sortal.pile import Pile

PILE = click.argument("pile", type=click.Path())
ITEMS = click.option("--item", "items", multiple=True, help="Single items by path, instead of a group.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print the act as JSON.")


@click.command()
@PILE
@click.argument("group_and_name", nargs=-1, metavar="[GROUP] NAME")
@ITEMS
@JSON
def name(pile: str, group_and_name: tuple[str, ...], items: tuple[str, ...], as_json: bool) -> None:
    """Say what a group, or single items, are.

    Names stay with the items when you group again. GROUP is the number that the group has now.

    \b
    sortal name photos.sortal 3 "thumb up"
    sortal name photos.sortal "thumb up" --item photos/a.jpg --item photos/b.jpg
    """
    expected = 1 if items else 2
    if len(group_and_name) != expected:
        raise click.UsageError("give a GROUP and a NAME, or a NAME and one --item or more.")
    group = None if items else _group(group_and_name[0])
    _act(pile, as_json, lambda opened: opened.name(group, group_and_name[-1], items=_paths(items)))


@click.command()
@PILE
@click.argument("group", type=int, required=False)
@ITEMS
@JSON
def unname(pile: str, group: int | None, items: tuple[str, ...], as_json: bool) -> None:
    """Take names and marks back.

    \b
    sortal unname photos.sortal 3
    """
    _act(pile, as_json, lambda opened: opened.unname(group, items=_paths(items)))


@click.command()
@PILE
@click.argument("group", type=int, required=False)
@ITEMS
@JSON
def none(pile: str, group: int | None, items: tuple[str, ...], as_json: bool) -> None:
    """Mark as none of the kinds that there are.

    The items get no name, and are examples of what a classifier must refuse.

    \b
    sortal none photos.sortal 7
    """
    _act(pile, as_json, lambda opened: opened.none(group, items=_paths(items)))


@click.command()
@PILE
@click.argument("groups", type=int, nargs=-1, required=True)
@JSON
def merge(pile: str, groups: tuple[int, ...], as_json: bool) -> None:
    """Make one group of several; it keeps the lowest number.

    \b
    sortal merge photos.sortal 3 8
    """
    _act(pile, as_json, lambda opened: opened.merge(groups))


@click.command()
@PILE
@click.argument("group", type=int)
@click.option("--into", default=2, show_default=True, help="Parts.")
@JSON
def split(pile: str, group: int, into: int, as_json: bool) -> None:
    """Part a group by its own vectors.

    \b
    sortal split photos.sortal 0 --into 3
    """
    _act(pile, as_json, lambda opened: opened.split(group, into))


@click.command()
@PILE
@JSON
def undo(pile: str, as_json: bool) -> None:
    """Take the last act back.

    \b
    sortal undo photos.sortal
    """
    _act(pile, as_json, lambda opened: opened.undo())


@click.command()
@PILE
@click.argument("file", type=click.Path())
def export(pile: str, file: str) -> None:
    """Write path, group and name of every file as .csv or .json.

    \b
    sortal export photos.sortal names.csv
    """
    import sortal

    with sortal.open(pile) as opened:
        click.echo(f"wrote {counted(opened.export_names(file), 'file')} to {file}")


def _act(path: str, as_json: bool, act: "Callable[[Pile], int]") -> None:
    """Do one act and say what it did."""
    import sortal
    from sortal.cli.output import print_json
    from sortal.data import shown

    with sortal.open(path) as opened:
        number = act(opened)
        record: dict[str, Any] = next(one for one in reversed(opened.history) if one["act"] == number)
        if as_json:
            print_json(record)
            return
        undone = "" if record["counts"] else " taken back"
        items = f", {counted(record['items'], 'item')}" if record["items"] else ""
        name = f" {shown(record['detail']['name'])}" if "name" in record["detail"] else ""
        click.echo(f"act {number}: {record['kind']}{name}{items}{undone}")
        if record["kind"] in ("merge", "split"):
            sizes = (f"{group.number}: {group.size:,}" for group in opened.groups)
            click.echo(f"groups and their sizes now: {', '.join(sizes)}")


def _group(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise click.UsageError(f"GROUP must be the number of a group; got {text[:60]!r}.") from None


def _paths(items: tuple[str, ...]) -> tuple[str, ...] | None:
    return items or None
