"""On a terminal: the question, the bar, the colours."""

import os
import pty
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from conftest import COMMAND, FIRST, Declare, Run, clean_environ

from reconciler.sandbox.server import Sandbox


def on_a_terminal(folder: Path, environ: Mapping[str, str], *arguments: str, types: str = "") -> tuple[int, str]:
    """Exit code and everything shown on the screen."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [COMMAND, *arguments],
        cwd=folder,
        env={**clean_environ(), "TERM": "xterm", **environ},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        os.write(ours, types.encode())
        shown = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # how Linux says that the other side is closed
                break
            shown += piece
    os.close(ours)
    return process.returncode, shown.decode()


@pytest.mark.parametrize(("answer", "code", "sent"), [("yes\n", 0, 1), ("y\n", 1, 0), ("no\n", 1, 0), ("\x04", 130, 0)])
def test_only_yes_means_yes(  # noqa: PLR0917 - pytest passes them all by name
    answer: str, code: int, sent: int, declare: Declare, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.seed("AP-1")
    declare("a.yaml", serial_number="AP-1", status="active")
    ended, shown = on_a_terminal(tmp_path, sandbox.environ, "apply", types=answer)

    assert (ended, len(sandbox.requests())) == (code, sent), shown
    assert "Type yes to apply" in shown


def test_a_bar_shows_how_far_it_is_and_leaves_no_trace(declare: Declare, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.seed("AP-1", "AP-2")
    sandbox.faults("error-before-commit:first=1,serial=AP-1", "latency=900ms")
    (tmp_path / "reconciler.toml").write_text("[api]\nbackoff_base = 0.01\n")
    declare("a.yaml", serial_number="AP-1", status="active")
    declare("b.yaml", serial_number="AP-2", status="active")
    ended, shown = on_a_terminal(tmp_path, sandbox.environ, "apply", "--auto-approve")

    assert ended == 0, shown
    assert ", 1 retried" in shown
    assert "1 of 2 devices" in shown
    assert shown.rstrip().endswith("s.")


@pytest.mark.parametrize(
    ("flags", "environ", "coloured"),
    [((), {}, True), ((), {"NO_COLOR": "1"}, False), (("--color", "never"), {}, False)],
)
def test_colours_are_for_people_who_want_them(
    flags: tuple[str, ...],
    environ: dict[str, str],
    coloured: bool,  # noqa: FBT001 - given
    declare: Declare,
    tmp_path: Path,
) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")
    _, shown = on_a_terminal(tmp_path, environ, *flags, "plan")

    assert ("\x1b[" in shown) == coloured


def test_colours_can_be_had_without_a_terminal(declare: Declare, run: Run) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")

    assert "\x1b[" in run("--color", "always", "plan").stdout
    assert "\x1b[" not in run("plan").stdout


def test_quiet_leaves_only_the_result(declare: Declare, run: Run) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")

    assert run("plan").stderr.startswith(f"{FIRST}Carry it out with:")
    assert run("-q", "plan").stderr == ""
