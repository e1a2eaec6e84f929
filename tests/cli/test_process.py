"""What only a process of its own shows: signals, pipes, terminals, encodings, imports."""

import os
import pty
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from sortal.cli.main import COMMANDS

from .conftest import N_DIGITS, ran, start, write_digits

ASCII_ONLY = {
    "LC_ALL": "C",
    "LANG": "C",
    "PYTHONCOERCECLOCALE": "0",
    "PYTHONUTF8": "0",
    "PYTHONIOENCODING": "ascii",
}


def test_help_is_light_and_lists_every_command():
    code = (
        "import sys\nfrom sortal.cli import main\nsys.argv = ['sortal', '--help']\n"
        "try: main()\nexcept SystemExit as e: assert e.code == 0\n"
        "heavy = {'numpy', 'torch', 'sklearn', 'PIL', 'rich', 'onnxruntime'}\n"
        "print(*heavy & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == "\n"
    assert all(f"  {command} " in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_an_example(sortal, command):
    done = sortal(command, "--help")
    assert done.code == 0
    assert f"\n  sortal {command} " in done.out or f"\n  sortal {command}\n" in done.out


def test_bare_command_shows_help(sortal):
    assert sortal() == sortal("--help")
    assert sortal("--version").out.startswith("sortal, version ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(sortal, shell):
    done = sortal("completion", shell)
    assert done.code == 0
    assert "_SORTAL_COMPLETE" in done.out
    if shutil.which(shell):
        subprocess.run([shell, "-n", "/dev/stdin"], input=done.out, text=True, check=True)


def test_completion_knows_commands_and_options():
    env = {"_SORTAL_COMPLETE": "bash_complete", "COMP_WORDS": "sortal organize --enc", "COMP_CWORD": "2"}
    assert "--encoder" in ran(env=env).out
    env = {"_SORTAL_COMPLETE": "bash_complete", "COMP_WORDS": "sortal me", "COMP_CWORD": "1"}
    assert ran(env=env).out == "plain,merge\n"


def write_large(folder, n):
    """Images that take a while to read."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(n):
        Image.fromarray(rng.integers(0, 256, (200, 200, 3), dtype=np.uint8)).save(
            folder / f"{i:04d}.png", compress_level=1
        )


@pytest.mark.slow
def test_control_c_ends_with_130_and_the_next_run_goes_on(tmp_path):
    write_large(tmp_path / "photos", 200)
    process = start("organize", "photos", "-k", "3", cwd=tmp_path, text=True)
    assert any("to read and embed" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "goes on from there" in err
    assert out == ""
    assert ran("show", "photos.sortal", cwd=tmp_path).code == 0
    assert ran("doctor", "photos.sortal", cwd=tmp_path).code == 0
    assert (
        ran("organize", "photos.sortal", "-k", "3", "--json", cwd=tmp_path).json("organize")["items"] == 200
    )


@pytest.mark.slow
def test_two_runs_at_once(pile, tmp_path):
    write_large(tmp_path / "more", 60)
    first = start("organize", str(tmp_path / "more"), "--into", str(pile), text=True)
    assert any("to read and embed" in line for line in first.stderr)
    first.send_signal(signal.SIGSTOP)  # so that it is still at it, however slow the machine
    second = ran("organize", str(pile))
    reader = ran("show", str(pile), "--json")
    namer = ran("name", str(pile), "0", "named meanwhile")
    first.send_signal(signal.SIGCONT)
    assert f"pid {first.pid}" in second.error()
    assert reader.json("show")["items"] == N_DIGITS
    assert namer.code == 0, namer
    first.communicate(timeout=60)
    assert first.returncode == 0
    after = ran("show", str(pile), "--json").json("show")
    assert after["items"] == N_DIGITS + 60
    assert after["named"] > 0


@pytest.mark.parametrize("command", [["show"], ["show", "--json"], ["show", "--quarantine"]])
def test_a_closed_pipe_is_no_error(pile, command):
    read, write = os.pipe()
    os.close(read)
    process = start(command[0], str(pile), *command[1:], stdout=write)
    os.close(write)
    assert process.communicate(timeout=60)[1] == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
@pytest.mark.parametrize("command", [["show"], ["show", "--json"], ["doctor"]])
def test_output_that_cannot_be_written_is_one_line(pile, command):
    with open("/dev/full", "w") as full:
        assert "No space left on device" in ran(command[0], str(pile), *command[1:], stdout=full).error()


@pytest.mark.slow
def test_plain_lines_without_a_terminal_and_a_bar_on_one(photos, tmp_path):
    plain = ran("organize", str(photos), "--into", "a.sortal", "-k", "5", cwd=tmp_path)
    assert plain.code == 0
    assert "\x1b" not in plain.out + plain.err
    assert "\r" not in plain.err
    assert "embedding 121 of 121, " in plain.err
    leader, follower = pty.openpty()
    process = start("organize", str(photos), "--into", "b.sortal", "-k", "5", cwd=tmp_path, stderr=follower)
    os.close(follower)
    seen = read_all(leader)
    assert process.wait(60) == 0
    assert b"\x1b[" in seen
    assert b"embedding" in seen
    assert b"\x1b" not in process.communicate()[0]


def read_all(terminal):
    seen = b""
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # Linux says EIO when the other end is closed
            piece = b""
        if not piece:
            os.close(terminal)
            return seen
        seen += piece


@pytest.fixture
def foreign(tmp_path):
    """A folder whose name is no UTF-8, with a file whose name is none and one with a line break."""
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    write_digits(tmp_path / "photos", range(30))
    os.rename(os.fsencode(tmp_path / "photos"), folder)
    os.rename(folder + b"/0000.png", folder + b"/z\xff.png")
    os.rename(folder + b"/0001.png", folder + b"/a\n\x1b[31mb.png")
    with open(folder + b"/bad\xfe.png", "wb"):
        pass
    return os.fsdecode(folder)


def test_paths_that_are_no_utf8(sortal, foreign):
    pile, model, odd = foreign + ".sortal", foreign + ".model", foreign + "/z\udcff.png"
    assert sortal("organize", foreign, "-k", "2").code == 0
    shown = sortal("show", pile, "--group", "0")
    assert shown.code == 0
    assert "\x1b" not in shown.out
    assert sortal("show", pile, "--json").json("show")["pile"] == pile
    assert "bad\\xfe.png" in sortal("show", pile, "--quarantine").out
    assert sortal("name", pile, "one", "--item", odd).code == 0
    assert sortal("name", pile, "0", "zero").code == 0
    assert sortal("name", pile, "1", "deux").code == 0
    for arguments in (
        ["show", pile, "--html", foreign + ".html"],
        ["export", pile, foreign + ".csv"],
        ["export", pile, foreign + ".json"],
        ["train", pile, "--into", model],
        ["predict", model, foreign],
        ["doctor", pile],
    ):
        assert sortal(*arguments).code == 0, arguments
    answer = sortal("predict", model, odd, "--json").json("predict")
    assert answer["predictions"][0]["path"] == odd
    sortal("show", foreign + "/nowhere").error()


@pytest.mark.slow
def test_output_that_lacks_characters(sortal, foreign):
    pile = os.fsencode(foreign) + b".sortal"
    assert ran("organize", os.fsencode(foreign), "-k", "2", env=ASCII_ONLY).code == 0
    sortal("name", foreign + ".sortal", "0", "z\u00e9ro \u2026")
    assert (
        "z\u00e9ro \u2026" in ran("show", pile, env=ASCII_ONLY).out
    )  # click writes UTF-8 where only ASCII is set
    latin = start("show", pile, env={"PYTHONIOENCODING": "latin-1"})
    assert b"z\xe9ro \\u2026" in latin.communicate(timeout=60)[0]
    assert ran("export", pile, pile + b".csv", env=ASCII_ONLY).code == 0
    ran("show", pile + b"\xff", env=ASCII_ONLY).error()


def test_a_folder_and_a_zip_in_one_pile(sortal, pile, tmp_path):
    write_digits(tmp_path / "more", range(300, 320))
    shutil.make_archive(str(tmp_path / "more"), "zip", tmp_path / "more")
    assert sortal("organize", "more.zip", "--into", pile).code == 0
    shown = sortal("show", pile)
    assert shown.code == 0
    assert f"{N_DIGITS + 20} items" in shown.out
