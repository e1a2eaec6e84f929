"""What can go wrong, as one small hierarchy.

    SortalError
    ├── InputError      an argument breaks its rule (also a ValueError)
    ├── DataError       a file holds something else than it should
    │   └── Unreadable  one item cannot be read; it goes to quarantine and the run goes on
    ├── FetchError      weights cannot be fetched: no network, or it broke off
    ├── StoreError      a pile cannot be opened, locked, read or written
    └── MissingExtra    an optional part is not installed (also an ImportError)

Every message is one line: the argument or file, the rule, what came, the way out.
"""

__all__ = ["DataError", "FetchError", "InputError", "MissingExtra", "SortalError", "StoreError", "Unreadable"]


class SortalError(Exception):
    """Anything that Sortal itself raises."""


class InputError(SortalError, ValueError):
    """An argument breaks its rule."""


class DataError(SortalError):
    """A file holds something else than it should."""


class Unreadable(DataError):
    """One item cannot be read. `kind` is a short stable word, the message says why in full."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


class FetchError(SortalError):
    """A file could not be fetched; the message carries the way to do it by hand."""


class StoreError(SortalError):
    """A pile cannot be opened, locked, read or written."""


class MissingExtra(SortalError, ImportError):
    """An optional part is not installed; the message carries the command that installs it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f'{what} needs an optional part: pip install "sortal[{extra}]".')
        self.extra = extra
