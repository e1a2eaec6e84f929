"""--watch: the gradients of a run, looked at while it learns."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sortal.diagnose.watched import Watched
    from sortal.progress import Progress

__all__ = ["watch_option", "watching"]

watch_option = click.option(
    "--watch", type=click.IntRange(2), metavar="STEPS",
    help="Look at all gradients every so many steps, such as 50; sortal gradients draws them.",
)  # fmt: skip


@contextmanager
def watching(folder: str | None, every: int | None, progress: "Progress") -> Iterator[list["Watched"]]:
    """The watchers for the run in `folder`: one that tells its verdict at the end, or none."""
    if every is None:
        yield []
        return
    from sortal.diagnose.watched import Watched

    with Watched(folder, every) as seen:
        yield [seen]
    for line in seen.verdict():
        progress.say(line)
