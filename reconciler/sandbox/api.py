"""The simulated device API as an ASGI application, and the log of what it was asked.

Everything between the socket and the devices is plain ASGI: what a test wants to go wrong can be wrapped around it.
"""

import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Final, NoReturn
from urllib.parse import quote, unquote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.model import Json
from reconciler.sandbox.devices import Devices
from reconciler.sandbox.rules import problems

BASE_PATH: Final = "/api/v1"
_COLLECTION: Final = f"{BASE_PATH}/inventory_device_serial_operation/"
_LOG: Final = "/_sandbox/requests"


@dataclass(frozen=True, slots=True)
class Received:
    """One request, at the moment when its answer began. `path` is as sent, still percent-encoded.

    `body` is the JSON value that was sent; text if it was none; None if there was no body, or nobody read it.
    """

    method: str
    path: str
    serial: str
    status: int
    body: Json

    def __str__(self) -> str:
        """One line without line breaks or control characters, whatever was sent."""
        what = quote(self.serial) if self.serial else self.path
        line = f"{self.method} {what} {self.status}"
        if self.body is None:
            return line
        body = json.dumps(self.body, ensure_ascii=False)
        return f"{line} {body if body.isprintable() else json.dumps(self.body)}"


def application(devices: Devices, token: str, log: list[Received], show: Callable[[Received], None]) -> ASGIApp:
    """The API over `devices`, for holders of `token`. Each request is added to `log` and given to `show`."""

    async def collection(_request: Request) -> Response:
        found = devices.all()
        return JSONResponse({"count": len(found), "results": found})

    async def device(request: Request) -> Response:
        serial = request.path_params["serial"]
        found = devices.get(serial)
        if found is None:
            raise HTTPException(404, "Not found.")
        if request.method == "PUT":
            patch = _patch(await request.body())
            wrong = problems(patch)
            if wrong:
                return JSONResponse(wrong, 422)
            found = devices.update(serial, patch)
        return JSONResponse(found)

    async def requests(request: Request) -> Response:
        if request.method == "DELETE":
            log.clear()
            return Response(status_code=204)
        return JSONResponse([asdict(received) for received in log])

    app = Starlette(
        routes=[
            Route(_COLLECTION, _for_holders(token, collection)),
            Route(_COLLECTION + "{serial}/", _for_holders(token, device), methods=["GET", "PUT"]),
            Route(_LOG, _for_holders(token, requests), methods=["GET", "DELETE"]),
        ],
        exception_handlers={HTTPException: _detail},
    )
    app.router.redirect_slashes = False  # the API's trailing slash is fixed, and a redirect would lose the PUT

    def keep(received: Received) -> None:
        log.append(received)
        show(received)

    return _logged(app, keep)


def _for_holders(token: str, endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
    expected = f"Bearer {token}".encode()

    async def checked(request: Request) -> Response:
        given = request.headers.get("authorization")
        if given is None or not hmac.compare_digest(given.encode("latin-1"), expected):
            why = "Authentication credentials were not provided." if given is None else "Invalid token."
            raise HTTPException(401, why, {"WWW-Authenticate": "Bearer"})
        return await endpoint(request)

    return checked


def _patch(body: bytes) -> dict[str, Json]:
    """The partial update in a request body, plain or as `{"data": "<json>"}`."""
    patch = _parsed(body)
    if list(patch) == ["data"] and isinstance(patch["data"], str):
        return _parsed(patch["data"])
    return patch


def _parsed(text: str | bytes) -> dict[str, Json]:
    if not text.strip():
        raise HTTPException(400, "The request body is missing.")
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"JSON parse error - {error}") from None
    if not isinstance(value, dict):
        raise HTTPException(400, "The request body must be a JSON object.")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


async def _detail(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette's signature is wider than what it calls with
    return JSONResponse({"detail": error.detail}, error.status_code, error.headers)


def _logged(app: ASGIApp, keep: Callable[[Received], None]) -> ASGIApp:
    """`app`, with `keep` called when an answer begins; questions about the log itself are left out."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == _LOG:
            await app(scope, receive, send)
            return
        body = bytearray()
        path = scope["raw_path"].decode("ascii", "replace")
        serial = unquote(path.removeprefix(_COLLECTION)).removesuffix("/") if path.startswith(_COLLECTION) else ""

        async def receiving() -> Message:
            message = await receive()
            body.extend(message.get("body", b""))
            return message

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                keep(Received(scope["method"], path, serial, message["status"], _shown(bytes(body))))
            await send(message)

        await app(scope, receiving, sending)

    return wrapped


def _shown(body: bytes) -> Json:
    try:
        value: Json = json.loads(body) if body else None
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")
    return value
