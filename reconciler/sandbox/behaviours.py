"""What can go wrong: functions from one request, and the way to carry it out, to what goes back over the wire."""

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from math import ceil
from typing import Final, TypeAlias

from reconciler.model import Json

OK: Final = 200


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back. `status` None: nothing; the connection is cut, with a TCP reset if `reset`.

    `drip` is the pause after each byte of the body, in seconds. `close`: the connection ends after the answer, without
    a word about it in the headers.
    """

    status: int | None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    drip: float = 0.0
    close: bool = False
    reset: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One request that a fault was chosen for; `strike` says that the fault took effect.

    `draw` in [0, 1) is the request's own random number. `reused`: its connection carried an answer before.
    """

    body: bytes
    draw: float
    reused: bool
    strike: Callable[[], None]


@dataclass(frozen=True, slots=True)
class SlowAccept:
    """The one fault that strikes a connection and no request."""

    delay: "Delay"


CarryOut: TypeAlias = Callable[[bytes], Awaitable[Reply]]
Behaviour: TypeAlias = Callable[[Call, CarryOut], Awaitable[Reply]]
Delay: TypeAlias = Callable[[float], float]
"""From a number in [0, 1) to seconds."""


def instead(reply: Callable[[], Reply]) -> Behaviour:
    """`reply`, and the request is not carried out."""

    async def behave(call: Call, _carry_out: CarryOut) -> Reply:
        call.strike()
        return reply()

    return behave


def afterwards(change: Callable[[Call, Reply], Reply | None]) -> Behaviour:
    """The request is carried out, and its answer is changed; None leaves it alone: the fault does not strike."""

    async def behave(call: Call, carry_out: CarryOut) -> Reply:
        reply = await carry_out(call.body)
        changed = change(call, reply)
        if changed is None:
            return reply
        call.strike()
        return changed

    return behave


def after_commit(reply: Reply) -> Behaviour:
    """`reply`, once the device is changed; requests that the API refuses are not struck."""
    return afterwards(lambda _, given: reply if given.status == OK else None)


def latency(delay: Delay) -> Behaviour:
    """Carried out late."""

    async def behave(call: Call, carry_out: CarryOut) -> Reply:
        call.strike()
        await asyncio.sleep(delay(call.draw))
        return await carry_out(call.body)

    return behave


def latency_after_commit(delay: Delay) -> Behaviour:
    """Carried out at once, answered late."""

    async def behave(call: Call, carry_out: CarryOut) -> Reply:
        reply = await carry_out(call.body)
        if reply.status == OK:
            call.strike()
            await asyncio.sleep(delay(call.draw))
        return reply

    return behave


def throttled(retry_after: Callable[[], str | None]) -> Behaviour:
    """429, with what `retry_after` gives at that moment."""

    def reply() -> Reply:
        header = retry_after()
        return _json(429, {"detail": "Request was throttled."}, {} if header is None else {"retry-after": header})

    return instead(reply)


def http_date(seconds: float) -> str:
    """The moment in `seconds`, rounded up to the whole second that the format can say."""
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return format_datetime(datetime.fromtimestamp(ceil(moment.timestamp()), UTC), usegmt=True)


def normalised(rule: Callable[[str], str]) -> Behaviour:
    """The server takes, holds and echoes `rule` of every text but the status, which is an enumeration."""

    async def behave(call: Call, carry_out: CarryOut) -> Reply:
        patch = _object(call.body)
        wrapped = list(patch) == ["data"] and isinstance(patch["data"], str)
        sent = _object(str(patch["data"]).encode()) if wrapped else patch
        held = {
            name: rule(value) if isinstance(value, str) and name != "status" else value for name, value in sent.items()
        }
        if held == sent:
            return await carry_out(call.body)
        content: dict[str, Json] = {"data": json.dumps(held)} if wrapped else held
        reply = await carry_out(json.dumps(content).encode())
        if reply.status == OK:
            call.strike()
        return reply

    return behave


def drip(seconds: float) -> Behaviour:
    """The body comes one byte at a time."""
    return afterwards(lambda _, reply: replace(reply, drip=seconds) if reply.body else None)


def oversized(size: int) -> Behaviour:
    """The right echo, made `size` bytes long by spaces that JSON allows."""
    return afterwards(lambda _, reply: _body(reply, reply.body.ljust(size)) if reply.status == OK else None)


def gzip_bomb(size: int) -> Behaviour:
    """As `oversized`, compressed to a thousandth, whatever the client accepts."""

    def change(_call: Call, reply: Reply) -> Reply | None:
        if reply.status != OK:
            return None
        packed = _body(reply, gzip.compress(reply.body.ljust(size)))
        return replace(packed, headers={**packed.headers, "content-encoding": "gzip"})

    return afterwards(change)


async def reset_on_reuse(call: Call, carry_out: CarryOut) -> Reply:
    """A TCP reset, and nothing carried out, if the connection carried an answer before."""
    if not call.reused:
        return await carry_out(call.body)
    call.strike()
    return Reply(None, reset=True)


def close(_call: Call, reply: Reply) -> Reply | None:
    """The connection ends after the answer."""
    return None if reply.status is None else replace(reply, close=True)


def wrong_serial(_call: Call, reply: Reply) -> Reply | None:
    """The echo is about another device."""
    echo = _echo(reply)
    return _body(reply, json.dumps({**echo, "serial_number": f"{echo['serial_number']}-2"}).encode()) if echo else None


def missing_field(name: str) -> Behaviour:
    """The echo lacks the field, or, if none is named, the alphabetically first one of those that were sent."""

    def change(call: Call, reply: Reply) -> Reply | None:
        echo = _echo(reply)
        sent = _object(call.body)
        if list(sent) == ["data"] and isinstance(sent["data"], str):
            sent = _object(sent["data"].encode())
        gone = name or min(sent.keys() & echo.keys(), default="")
        if gone not in echo:
            return None
        return _body(reply, json.dumps({key: value for key, value in echo.items() if key != gone}).encode())

    return afterwards(change)


def error(status: int) -> Reply:
    """An error in the API's own form."""
    return _json(status, {"detail": f"The sandbox was told to answer {status}."})


def redirect(status: int) -> Reply:
    """To a path that exists on no server: whoever follows shows up in the request log."""
    return Reply(status, {"location": "/api/v1/redirected/", "content-length": "0"})


CUT: Final = Reply(None)
ACCEPTED: Final = Reply(202, {"content-type": "application/json", "content-length": "2"}, b"{}")
NO_CONTENT: Final = Reply(204)
_PAGE: Final = b"<!doctype html><title>Sign in</title><p>Please sign in to use this network.</p>\n"
HTML: Final = Reply(OK, {"content-type": "text/html; charset=utf-8", "content-length": str(len(_PAGE))}, _PAGE)


def _json(status: int, value: Json, headers: Mapping[str, str] | None = None) -> Reply:
    return _body(Reply(status, {"content-type": "application/json", **(headers or {})}), json.dumps(value).encode())


def _body(reply: Reply, body: bytes) -> Reply:
    return replace(reply, headers={**reply.headers, "content-length": str(len(body))}, body=body)


def _echo(reply: Reply) -> dict[str, Json]:
    return _object(reply.body) if reply.status == OK else {}


def _object(text: bytes) -> dict[str, Json]:
    """The JSON object in `text`; empty if there is none."""
    try:
        value: Json = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
