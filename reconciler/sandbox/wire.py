"""Between the socket and the API: requests that faults may strike, and connections that can be cut."""

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from reconciler.sandbox.behaviours import Behaviour, Call, CarryOut, Reply
from reconciler.sandbox.faults import Fault, Faults, Round
from reconciler.sandbox.received import Received, as_shown, is_commit, logged, path_and_serial

_AT_ONCE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with no time to linger: closing sends a reset."""


@dataclass(slots=True)
class _Connection:
    """What the layers above HTTP may know of a connection. `late` are the faults that the log has yet to name."""

    transport: asyncio.Transport
    answers: int = 0
    late: tuple[str, ...] = ()

    def cut(self, *, reset: bool) -> None:
        if reset:
            peer = self.transport.get_extra_info("socket")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self.transport.abort()


def protocol(faults: Faults) -> type[H11Protocol]:
    """HTTP/1.1 whose requests carry their connection in `scope["state"]`, and whose connections may be taken up late.

    The system has completed the TCP handshake by the time anybody can accept, so that a client cannot tell a
    connection that is accepted late from one that is read late.
    """

    class Protocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
            super().connection_made(transport)
            self._connection = _Connection(transport)
            self.app_state = {**self.app_state, "connection": self._connection}
            if faults.current is not None:
                delay, self._connection.late = faults.current.accept_after()
                if delay:
                    self.loop.call_soon(transport.pause_reading)  # only now does asyncio begin to read
                    self.loop.call_later(delay, transport.resume_reading)

        def on_response_complete(self) -> None:
            self._connection.answers += 1
            super().on_response_complete()

    return Protocol


class Server(uvicorn.Server):
    """Stops at once: what faults hold up is cut off."""

    def __init__(self, config: uvicorn.Config, faults: Faults) -> None:
        super().__init__(config)
        self._faults = faults

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Called by uvicorn when it is to end."""
        for task in self._faults.at_work:
            task.cancel()
        await super().shutdown(sockets)


def struck(app: ASGIApp, faults: Faults, keep: Callable[[Received], None]) -> ASGIApp:
    """`app`, logged, with faults on the PUTs of devices while there are any."""
    plain = logged(app, keep)

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        current = faults.current
        if current is None or scope["type"] != "http" or scope["method"] != "PUT":
            await plain(scope, receive, send)
            return
        path, serial = path_and_serial(scope)
        if not serial:
            await plain(scope, receive, send)
            return
        body = await _read(receive)
        if body is None:
            return
        connection: _Connection = scope["state"]["connection"]
        exchange = _Exchange(current, connection, serial, current.number(serial), list(connection.late))
        connection.late = ()

        async def api(content: bytes) -> Reply:
            reply = await _answered(app, scope, content)
            exchange.committed = is_commit(scope, reply.status)
            return reply

        carry_out: CarryOut = api
        for fault, does in reversed(current.on_requests):
            carry_out = exchange.around(fault, does, carry_out)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - uvicorn runs each request as a task
        faults.at_work.add(task)
        try:
            reply = await carry_out(body)
            kinds = tuple(exchange.kinds)
            keep(Received(scope["method"], path, serial, reply.status, as_shown(body), kinds, exchange.committed))
            await _sent(reply, connection, receive, send)
        except asyncio.CancelledError:  # the server stops
            connection.cut(reset=False)
            await _gone(receive)
        finally:
            faults.at_work.discard(task)

    return wrapped


@dataclass(slots=True)
class _Exchange:
    """One PUT of a device, on its way through the faults. `kinds` are those that struck."""

    current: Round
    connection: _Connection
    serial: str
    number: int
    kinds: list[str]
    committed: bool = False

    def around(self, fault: Fault, does: Behaviour, carry_out: CarryOut) -> CarryOut:
        """`carry_out`, with one fault around it."""

        async def wrapped(body: bytes) -> Reply:
            draw = self.current.take(fault, self.serial, self.number)
            if draw is None:
                return await carry_out(body)
            hit = False

            def strike() -> None:
                nonlocal hit
                hit = True
                self.kinds.append(fault.kind)

            call = Call(body, draw, reused=self.connection.answers > 0, strike=strike)
            reply = await does(call, carry_out)
            if not hit:
                self.current.give_back(fault)
            return reply

        return wrapped


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None if the client left before its end."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


async def _answered(app: ASGIApp, scope: Scope, body: bytes) -> Reply:
    """The whole answer of `app`."""
    start: dict[str, Any] = {}
    content = bytearray()

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        start.update(message if message["type"] == "http.response.start" else {})
        content.extend(message.get("body", b""))

    await app(scope, receive, send)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
    return Reply(start["status"], headers, bytes(content))


async def _sent(reply: Reply, connection: _Connection, receive: Receive, send: Send) -> None:
    if reply.status is None:
        connection.cut(reset=reply.reset)
        await _gone(receive)  # returning any earlier, we would be told off for not answering
        return
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if reply.drip:
        for byte in reply.body:
            await send({"type": "http.response.body", "body": bytes([byte]), "more_body": True})
            await asyncio.sleep(reply.drip)
    await send({"type": "http.response.body", "body": b"" if reply.drip else reply.body})
    if reply.close:
        connection.transport.close()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
