"""What commands print: progress while they run, and records as JSON."""

import json
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from sortal.data import printable
from sortal.progress import Progress

__all__ = ["PlainProgress", "RichProgress", "print_candidates", "print_json", "print_table", "progress"]

EVERY_S = 5.0  # between two plain lines of one phase


def progress() -> "RichProgress | PlainProgress":
    """A bar on a terminal, plain lines elsewhere; both on standard error, so that --json stays clean."""
    return RichProgress() if sys.stderr.isatty() else PlainProgress()


def print_json(record: Any) -> None:
    """One JSON value, pure ASCII: bytes that are no UTF-8 stand as lone surrogate escapes."""
    click.echo(json.dumps(record, indent=1, allow_nan=False))


def print_candidates(rows: list[dict[str, float]], taken: int) -> None:
    """What speaks for the number of groups that was taken, and for the five best by silhouette."""
    click.echo(
        "the number of groups is a guess (docs/concepts.md, How many); larger is better in each column:"
    )
    best = sorted(rows, key=lambda row: -row["silhouette"])
    for row in [row for i, row in enumerate(best) if i < 5 or row["n_clusters"] == taken]:
        click.echo(
            f"  {'taken' if row['n_clusters'] == taken else '':>5} k={row['n_clusters']:<3}"
            f" silhouette {row['silhouette']:.3f}  modularity {row['modularity']:.3f}"
            f"  eigengap {row['eigengap']:.3f}"
        )


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns with a head, numbers to the right; as wide as it needs to be where nobody looks at it."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    cells = [tuple(row) for row in rows]
    for i, column in enumerate(columns):
        number = all(not row[i] or row[i][0].isdigit() or row[i][0] == "-" for row in cells)
        table.add_column(escape(column), justify="right" if number else "left", no_wrap=True)
    for row in cells:
        table.add_row(*(escape(printable(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else 250, highlight=False, emoji=False).print(table)


class RichProgress(Progress):
    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, emoji=False)
        rate = TextColumn("{task.fields[rate]}")
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            rate,
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )

    def __enter__(self) -> "RichProgress":
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def say(self, line: str) -> None:
        self.console.print(escape(printable(line)), soft_wrap=True)

    def start(self, what: str, total: int) -> None:
        for task in self.bar.task_ids:
            self.bar.remove_task(task)
        self.task = self.bar.add_task(what, total=total, rate="")
        self.since, self.done = time.monotonic(), 0

    def advance(self, n: int) -> None:
        self.done += n
        rate = self.done / max(time.monotonic() - self.since, 1e-9)
        self.bar.update(self.task, advance=n, rate=_per_second(rate))


class PlainProgress(Progress):
    def __enter__(self) -> "PlainProgress":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def say(self, line: str) -> None:
        click.echo(printable(line), err=True)

    def start(self, what: str, total: int) -> None:
        self.what, self.total, self.done = what, total, 0
        self.since = self.told = time.monotonic()

    def advance(self, n: int) -> None:
        self.done += n
        now = time.monotonic()
        if now - self.told < EVERY_S and self.done < self.total:
            return
        self.told = now
        rate = self.done / max(now - self.since, 1e-9)
        left = (self.total - self.done) / max(rate, 1e-9)
        self.say(f"{self.what} {self.done:,} of {self.total:,}, {_per_second(rate)}, {left:.0f} s left")


def _per_second(rate: float) -> str:
    """Steps of a training may take seconds each: 0/s would say that it stands still."""
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s"
