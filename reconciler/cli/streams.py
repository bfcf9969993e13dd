"""What goes to stdout and stderr: whole, without tokens, and as JSON lines where a machine reads it."""

import io
import json
import os
import sys
import time
from contextlib import suppress
from typing import ClassVar, TextIO


class _Front(io.TextIOBase):
    """A stream in front of another. If its reader goes away (`| head`), the rest is dropped and the run goes on."""

    _harmless: ClassVar[type[OSError]] = BrokenPipeError

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.no_commands = False
        """Whether a runner reads along, which must find no command in what passes, unless `command` is told one."""

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has a variable, io has a property
        """Of the stream behind."""
        return self._stream.encoding

    def write(self, text: str, /) -> int:
        """Pass `text` on."""
        if self.no_commands:
            from reconciler.printable import without_commands

            text = without_commands(text)
        self.command(text)
        return len(text)

    def command(self, text: str) -> None:
        """Pass `text` on as it is: whoever made it has seen to what a runner may find in it."""
        try:
            self._stream.write(text)
        except self._harmless:
            self._nobody_reads()

    def flush(self) -> None:
        """Flush the stream behind."""
        try:
            self._stream.flush()
        except self._harmless:
            self._nobody_reads()

    def isatty(self) -> bool:
        """Whether a person is watching."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Of the stream behind."""
        return self._stream.fileno()

    def finish(self) -> None:
        """Pass on what is left; quietly, for there is nobody to tell any more."""
        with suppress(OSError):
            self.flush()
            return
        self._nobody_reads()

    def _nobody_reads(self) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())  # or Python complains at its end


class Stdout(_Front):
    """The result. A disk that is full is an error."""


class Stderr(_Front):
    """Everything else. Nothing that passes holds the token.

    With `as_json` each line becomes `{"at": …, "message": …}`, without colours.
    """

    _harmless = OSError

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._line = ""
        self.as_json = False

    def write(self, text: str, /) -> int:
        """Pass `text` on; with `as_json` only whole lines."""
        if not isinstance(text, str):
            raise TypeError("stderr takes text")  # click asks with b""
        if not self.as_json:
            super().write(_redacted(text))
            return len(text)
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._pass_on(line)
        return len(text)

    def isatty(self) -> bool:
        """Whether a person is watching; nobody watches JSON."""
        return not self.as_json and super().isatty()

    def finish(self) -> None:
        """Pass on what is left, with or without a line break."""
        line, self._line = self._line, ""
        if line:
            self._pass_on(line)
        super().finish()

    def _pass_on(self, line: str) -> None:
        from click import unstyle

        from reconciler.timestamp import stamp

        if line.strip():
            entry = {"at": stamp(time.time()), "message": _redacted(unstyle(line))}
            super().write(json.dumps(entry) + "\n")


def _redacted(text: str) -> str:
    tokens = sys.modules.get("reconciler.redaction")  # not imported: then there is no token yet
    return text if tokens is None else str(tokens.redacted(text))
