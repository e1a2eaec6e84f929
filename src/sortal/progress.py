"""How a long job tells what it does, whoever listens."""

__all__ = ["Progress", "counted"]


def counted(n: int, one: str, many: str | None = None) -> str:
    """A number with its noun: "1 item", "2 items", "3 copies"."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


class Progress:
    """What a long job tells while it runs. This one keeps silent; the command line shows it."""

    def say(self, line: str) -> None:
        """One line for a person."""

    def start(self, what: str, total: int) -> None:
        """A phase of `total` steps begins."""

    def advance(self, n: int) -> None:
        """`n` more steps of the phase are done."""
