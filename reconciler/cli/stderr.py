"""What goes to stderr: without tokens, and as JSON lines where a machine reads it."""

import io
import json
import sys
import time
from typing import TextIO

from reconciler.timestamp import stamp


class Stderr(io.TextIOBase):
    """A stream in front of `stream`. Nothing that passes it holds the token.

    With `as_json` each line becomes `{"at": …, "message": …}`, without colours.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._line = ""
        self.as_json = False

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has a variable, io has a property
        """Of the stream behind."""
        return self._stream.encoding

    def write(self, text: str, /) -> int:
        """Pass `text` on; with `as_json` only whole lines."""
        if not self.as_json:
            self._stream.write(_redacted(text))
            return len(text)
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._pass_on(line)
        return len(text)

    def flush(self) -> None:
        """Flush the stream behind."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Whether a person is watching; nobody watches JSON."""
        return not self.as_json and self._stream.isatty()

    def fileno(self) -> int:
        """Of the stream behind."""
        return self._stream.fileno()

    def finish(self) -> None:
        """Pass on what is left without a line break."""
        line, self._line = self._line, ""
        if line:
            self._pass_on(line)
        self.flush()

    def _pass_on(self, line: str) -> None:
        from click import unstyle

        if line.strip():
            entry = {"at": stamp(time.time()), "message": _redacted(unstyle(line))}
            self._stream.write(json.dumps(entry) + "\n")


def _redacted(text: str) -> str:
    tokens = sys.modules.get("reconciler.apply.token")  # not imported: then there is no token yet
    return text if tokens is None else str(tokens.redacted(text))
