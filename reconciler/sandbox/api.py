"""The simulated device API as an ASGI application, and what a test may ask about the sandbox itself.

It is always right. What a test wants to go wrong is wrapped around it, in wire.py.
"""

import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import NoReturn

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from reconciler.errors import Usage
from reconciler.model import Json
from reconciler.sandbox.devices import Devices
from reconciler.sandbox.faults import Faults
from reconciler.sandbox.received import COLLECTION, CONTROL, Received
from reconciler.sandbox.rules import problems
from reconciler.sandbox.wire import struck


def application(
    devices: Devices, token: str, faults: Faults, log: list[Received], show: Callable[[Received], None]
) -> ASGIApp:
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

    app = Starlette(
        routes=[
            Route(COLLECTION, _for_holders(token, collection)),
            Route(COLLECTION + "{serial}/", _for_holders(token, device), methods=["GET", "PUT"]),
            *_control(token, faults, log),
        ],
        exception_handlers={HTTPException: _detail, Usage: _detail},
    )
    app.router.redirect_slashes = False  # the API's trailing slash is fixed, and a redirect would lose the PUT

    def keep(received: Received) -> None:
        log.append(received)
        show(received)

    return struck(app, faults, keep)


def _control(token: str, faults: Faults, log: list[Received]) -> list[Route]:
    async def requests(request: Request) -> Response:
        if request.method == "DELETE":
            log.clear()
            return Response(status_code=204)
        return JSONResponse([asdict(received) for received in log])

    async def failing(request: Request) -> Response:
        if request.method != "GET":
            faults.set(_specs(await request.body()) if request.method == "PUT" else ())
        return JSONResponse(faults.specs)

    return [
        Route(CONTROL + "requests", _for_holders(token, requests), methods=["GET", "DELETE"]),
        Route(CONTROL + "faults", _for_holders(token, failing), methods=["GET", "PUT", "DELETE"]),
    ]


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
    value = _json(text)
    if not isinstance(value, dict):
        raise HTTPException(400, "The request body must be a JSON object.")
    return value


def _specs(text: bytes) -> list[str]:
    value = _json(text)
    specs = [spec for spec in value if isinstance(spec, str)] if isinstance(value, list) else []
    if specs != value:
        raise HTTPException(400, 'The request body must be a JSON list of faults, such as ["drop-after-commit:30%"].')
    return specs


def _json(text: str | bytes) -> Json:
    if not text.strip():
        raise HTTPException(400, "The request body is missing.")
    try:
        value: Json = json.loads(text, parse_constant=_refuse_constant)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"JSON parse error - {error}") from None
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


async def _detail(_request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return JSONResponse({"detail": error.detail}, error.status_code, error.headers)
    return JSONResponse({"detail": str(error)}, 400)
