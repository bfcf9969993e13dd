"""The `git` program: run with nothing to ask and an end to its waiting, its troubles said in words.

It runs in a session of its own, so that a Ctrl-C meant for us does not cut a push in two.
"""

import os
import re
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import StateError, StateUnreachable
from reconciler.git import environment
from reconciler.printable import printable

LOCAL_SECONDS = 60.0
TRANSFER_SECONDS = 120.0

_NO_CLEANING = ("-c", "gc.auto=0", "-c", "maintenance.auto=false")

_DENIED = re.compile(
    r"Authentication failed|could not read (Username|Password)|Permission (to .* )?denied|error: 40[13]|HTTP 40[13]"
    r"|[Rr]epository not found|[Aa]ccess denied|not authorized|Host key verification failed|insufficient permission"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """How git ended, and what it said."""

    code: int
    out: bytes
    err: str

    @property
    def denied(self) -> bool:
        """Whether the far side knows us and says no, or does not know us."""
        return bool(_DENIED.search(self.err))

    @property
    def words(self) -> str:
        """The line that says why, without secrets: a URL may carry a token."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        telling = [line for line in lines if line.startswith(("fatal:", "error:", "ssh:", "remote:"))] or lines
        said = telling[0].strip() if telling else f"git ended with {self.code}"
        return printable(re.sub(r"//[^/@\s]+@", "//", said))


@dataclass(frozen=True, slots=True)
class Git:
    """Git in the repository around a folder."""

    root: Path

    def ask(self, *arguments: str, feed: bytes = b"", transfer: bool = False) -> Answer:
        """Run one command to its end, whatever that is.

        Raises StateError without a git, StateUnreachable for a `transfer` that takes too long.
        """
        try:
            child = subprocess.Popen(  # noqa: S603 - arguments are ours, names are checked in open.py
                ["git", *_NO_CLEANING, *arguments],  # noqa: S607 - the user's own git
                cwd=self.root,
                env=environment(os.environ) | {"LC_ALL": "C"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            missing = "git is not installed, or not on PATH" if self.root.is_dir() else f"{self.root} is no folder"
            raise StateError(f'{missing}; `state = "git:…"` in the settings needs it') from error
        except OSError as error:
            raise StateError(f"git cannot be run in {self.root}: {error.strerror or error}") from error
        seconds = TRANSFER_SECONDS if transfer else LOCAL_SECONDS
        with child:
            try:
                out, err = child.communicate(feed, timeout=seconds)
            except BaseException as error:
                with suppress(ProcessLookupError):  # it may have ended just now
                    os.killpg(child.pid, signal.SIGKILL)
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                kind = StateUnreachable if transfer else StateError
                raise kind(f"git {arguments[0]} did not end within {seconds:.0f} s") from error
        return Answer(child.returncode, out, err.decode(errors="replace"))

    def must(self, *arguments: str, feed: bytes = b"") -> bytes:
        """What a command that only looks at this repository, or adds to it, prints. Raises StateError if it fails."""
        answer = self.ask(*arguments, feed=feed)
        if answer.code:
            raise StateError(f"git {arguments[0]} in {self.root}: {answer.words}")
        return answer.out
