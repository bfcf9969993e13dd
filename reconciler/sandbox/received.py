"""The log of what the sandbox was asked."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.model import Json

BASE_PATH: Final = "/api/v1"
COLLECTION: Final = f"{BASE_PATH}/inventory_device_serial_operation/"
CONTROL: Final = "/_sandbox/"
"""Where tests ask about the sandbox itself: never logged, never struck by a fault."""


@dataclass(frozen=True, slots=True)
class Received:
    """One request, at the moment when its answer began. `path` is as sent, still percent-encoded.

    `status` is None if the connection was cut instead of an answer. `body` is the JSON value that was sent; text if it
    was none; None if there was no body, or nobody read it. `faults` are the kinds that struck, in the order in which
    they did. `committed`: a device was changed, whatever the answer says.
    """

    method: str
    path: str
    serial: str
    status: int | None
    body: Json
    faults: tuple[str, ...] = ()
    committed: bool = False

    def __str__(self) -> str:
        """One line without line breaks or control characters, whatever was sent."""
        what = quote(self.serial) if self.serial else self.path
        line = f"{self.method} {what} {self.status or 'cut'}"
        if self.faults:
            line += f" ({', '.join(self.faults)}; {'committed' if self.committed else 'not committed'})"
        if self.body is None:
            return line
        body = json.dumps(self.body, ensure_ascii=False)
        return f"{line} {body if body.isprintable() else json.dumps(self.body)}"


def path_and_serial(scope: Scope) -> tuple[str, str]:
    """The path of a request as sent, and the serial in it, decoded; "" if it is not about one device."""
    path = scope["raw_path"].decode("ascii", "replace")
    return path, unquote(path.removeprefix(COLLECTION)).removesuffix("/") if path.startswith(COLLECTION) else ""


def logged(app: ASGIApp, keep: Callable[[Received], None]) -> ASGIApp:
    """`app`, with `keep` called when an answer begins; questions about the sandbox itself are left out."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(CONTROL):
            await app(scope, receive, send)
            return
        body = bytearray()
        path, serial = path_and_serial(scope)

        async def receiving() -> Message:
            message = await receive()
            body.extend(message.get("body", b""))
            return message

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                status = message["status"]
                committed = is_commit(scope, status)
                keep(Received(scope["method"], path, serial, status, as_shown(bytes(body)), committed=committed))
            await send(message)

        await app(scope, receiving, sending)

    return wrapped


def is_commit(scope: Scope, status: int | None) -> bool:
    """Whether the API, having answered so, has changed a device."""
    return bool(scope["method"] == "PUT" and status == 200)  # noqa: PLR2004 - the API's only success


def as_shown(body: bytes) -> Json:
    """A request body as the log holds it."""
    try:
        value: Json = json.loads(body) if body else None
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")
    return value
