"""The API token: where it comes from."""

import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

from reconciler.errors import AuthenticationError
from reconciler.redaction import Token


def find_token(environ: Mapping[str, str], *, command: str, root: Path) -> Token:
    """From RECONCILER_TOKEN_FILE, else from the output of `command` (run in `root`), else from RECONCILER_TOKEN.

    Raises AuthenticationError, never echoing what was found.
    """
    if path := environ.get("RECONCILER_TOKEN_FILE"):
        try:
            return _checked((root / path).read_text(encoding="utf-8"), f"RECONCILER_TOKEN_FILE ({path})")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is not text"
            raise AuthenticationError(f"RECONCILER_TOKEN_FILE: {path}: {reason}") from None
    if command:
        return _checked(_output(command, root), "api.token_command")
    if text := environ.get("RECONCILER_TOKEN"):
        return _checked(text, "RECONCILER_TOKEN")
    raise AuthenticationError(
        "no API token; set RECONCILER_TOKEN_FILE or RECONCILER_TOKEN, or api.token_command in the configuration"
    )


def _output(command: str, root: Path) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - the command is the user's own configuration, split without a shell
            shlex.split(command), cwd=root, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=60, check=False
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        reason = "took longer than 60 s" if isinstance(error, subprocess.TimeoutExpired) else str(error)
        raise AuthenticationError(f"api.token_command: {reason}") from None
    if done.returncode:
        raise AuthenticationError(f"api.token_command ended with exit code {done.returncode}")
    return done.stdout.decode("utf-8", "replace")


def _checked(text: str, origin: str) -> Token:
    text = text.strip()
    if not text:
        raise AuthenticationError(f"{origin} is empty")
    if not all("!" <= character <= "~" for character in text):
        raise AuthenticationError(f"{origin} is not a token: it holds white space, line breaks or non-ASCII characters")
    return Token(text)
