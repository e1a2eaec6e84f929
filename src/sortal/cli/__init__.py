"""The command line: parse, call `sortal.pile` once, print."""

from sortal.cli.main import cli, main

__all__ = ["cli", "main"]
