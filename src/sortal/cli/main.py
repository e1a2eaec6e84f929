"""The command `sortal`, its subcommands loaded when they are called, and how errors end it."""

import io
import os
import sys
from difflib import get_close_matches
from importlib import import_module

import click

from sortal import __version__
from sortal.errors import SortalError

__all__ = ["cli", "main"]

# In the order of the journey; a module is imported when its command is named, or for the list in --help.
COMMANDS = {
    "organize": "organize",
    "show": "show",
    "compare": "compare",
    "name": "naming",
    "unname": "naming",
    "none": "naming",
    "merge": "naming",
    "split": "naming",
    "undo": "naming",
    "export": "naming",
    "train": "train",
    "predict": "predict",
    "recipe": "recipe",
    "sequence": "sequence",
    "transfer": "transfer",
    "cluster": "cluster",
    "quantize": "quantize",
    "arch": "arch",
    "look": "look",
    "study": "study",
    "gradients": "gradients",
    "doctor": "doctor",
    "completion": "completion",
}


class Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as e:
            near = get_close_matches(args[0], COMMANDS, 1)
            raise click.UsageError(e.message + (f" Did you mean {near[0]}?" if near else ""), ctx) from None

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"sortal.cli.{COMMANDS[cmd_name]}"), cmd_name)
        return command


@click.command(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sortal")
def cli() -> None:
    """Turn a pile of unlabelled images into named groups and a trained classifier.

    \b
    sortal organize photos/                  files become vectors, vectors become groups
    sortal show photos.sortal --html r.html  look at them
    sortal name photos.sortal 3 "thumb up"   say what they are
    sortal train photos.sortal --into thumbs.model
    sortal predict thumbs.model new/
    """


def main() -> None:
    """Run the command line. Exit codes: 0, 1 the user's mistake, 2 usage, 130 Ctrl-C."""
    _print_anything()
    try:
        code = cli.main(sys.argv[1:] or ["--help"], prog_name="sortal", standalone_mode=False)
    except click.UsageError as e:
        code = _fail(f"{e.format_message()} (see {e.ctx.command_path if e.ctx else 'sortal'} --help)", 2)
    except click.ClickException as e:
        code = _fail(e.format_message())
    except SortalError as e:
        code = _fail(str(e))
    except (KeyboardInterrupt, click.Abort) as e:
        # Whoever stored something says so; click wraps the interrupt that says it.
        click.echo(str(e) or str(e.__cause__ or "") or "stopped.", err=True)
        code = 130
    except BrokenPipeError:
        _give_up_output()  # its reader has gone (`| head`)
        code = 0
    except OSError as e:
        _give_up_output()
        code = _fail(f"{e.filename or 'the output'} cannot be read or written: {e.strerror or e}.")
    except MemoryError:
        code = _fail("not enough memory for this pile; close other programs or group a part of it.")
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int = 1) -> int:
    line = " ".join(message.split())
    if not line.isprintable():  # hardly ever, and the import is not light
        from sortal.data import printable

        line = printable(line)
    click.echo(f"sortal: {line}", err=True)
    return code


def _give_up_output() -> None:
    """What is still to be written would fail once more, with a traceback, when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_anything() -> None:
    """Names and paths hold what the output's encoding may lack, or bytes that are no text: escape those."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
