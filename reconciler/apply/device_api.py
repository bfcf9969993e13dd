"""The device inventory API: the only place that speaks to devices."""

import asyncio
import ssl
from collections.abc import Mapping
from functools import lru_cache
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote, urlsplit

from reconciler import __version__
from reconciler.apply.answer import Answer, NoAnswer, NotSent
from reconciler.apply.connection import Connection, Reply, Request, Unsendable, request, retargeted
from reconciler.apply.dial import Address, ProxyRefusal, dial
from reconciler.canonical import canonical
from reconciler.errors import ApiError
from reconciler.model import Json, Serial
from reconciler.redaction import Token, redacted

_IN_A_PATH = "%!$&'()*+,;=:@/?[]~"
"""What stands for itself in a target; % begins what is escaped already."""


class DeviceApi:
    """One server, one token, at most `concurrency` requests at a time. An async context manager.

    `timeout` is in seconds for a request as a whole, `connect_timeout` for its connection. An answer of more than
    `max_answer_bytes` is not read to its end, and not trusted. `proxy` is asked for every connection that leaves this
    machine.

    A connection that the server closed while nothing was asked is replaced. Once a request may have left, it is never
    sent again in here: that is for those to decide who know that it may have struck.
    """

    def __init__(
        self,
        base_url: str,
        token: Token,
        *,
        route: str,
        auth_scheme: str,
        body: Literal["plain", "data-string"],
        timeout: float,
        connect_timeout: float,
        max_answer_bytes: int,
        concurrency: int,
        proxy: str = "",
    ) -> None:
        method, _, path = route.partition(" ")
        self._target = _target(base_url.rstrip("/") + path).partition("{serial_number}")
        self._wrapped = body == "data-string"
        self._timeout, self._connect_timeout = timeout, min(timeout, connect_timeout)
        self._max_answer_bytes = max_answer_bytes
        self._server = Address.of(base_url)
        self._proxy = Address.of(proxy) if proxy else None
        headers = {
            "Host": self._server.authority,
            "Authorization": token.header(auth_scheme),
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": f"reconciler/{__version__}",
        }
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]

        def head(length: int) -> Request:
            return request(method.encode(), b"/", [*encoded, (b"Content-Length", b"%d" % length)])

        self._head = lru_cache(1000)(head)
        self._free = asyncio.Semaphore(concurrency)
        self._idle: list[Connection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._idle:
            await self._idle.pop().close()

    async def put(self, serial: Serial, body: Mapping[str, Json]) -> Answer | NotSent | NoAnswer:
        """Send one partial update and read the whole response, all within the timeout.

        Raises ApiError if the server's certificate is not to be trusted.
        """
        content = canonical({"data": canonical(body)} if self._wrapped else body).encode()
        loop = asyncio.get_running_loop()
        async with self._free:
            deadline = loop.time() + self._timeout
            connection = await self._connected()
            if isinstance(connection, NotSent):
                return connection
            too_late = NoAnswer(f"no complete answer within {self._timeout:g} s")
            timer = loop.call_at(deadline, connection.end, too_late)
            try:
                reply = await self._exchanged(connection, serial, content)
            finally:
                timer.cancel()
        return reply if isinstance(reply, NoAnswer) else _plain(reply)

    async def _connected(self) -> Connection | NotSent:
        """A connection that is free, if any was not closed meanwhile, or a new one."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            await connection.close()
        try:
            async with asyncio.timeout(self._connect_timeout):
                return await dial(self._server, self._proxy, longest=self._max_answer_bytes)
        except ssl.SSLError as error:
            raise ApiError(
                f"{self._server.host}: TLS: {redacted(str(error))}; check api.base_url and the certificate"
            ) from None
        except ProxyRefusal as refusal:
            return NotSent(f"the proxy refused: {refusal}")
        except TimeoutError:
            return NotSent(f"cannot connect to {self._server.authority}: timed out")
        except OSError as error:
            return NotSent(
                f"cannot connect to {self._server.authority}: {redacted(str(error)) or type(error).__name__}"
            )

    async def _exchanged(self, connection: Connection, serial: Serial, content: bytes) -> Reply | NoAnswer:
        target = quote(serial, safe="").join((self._target[0], self._target[2])).encode()
        try:
            return await connection.exchange(retargeted(self._head(len(content)), target), content)
        except Unsendable as error:
            raise ApiError(f"the request cannot be made: {redacted(str(error))}") from None
        finally:
            self._idle.append(connection)


def _target(url: str) -> str:
    """What the request line asks for, with `{serial_number}` in it."""
    parts = urlsplit(url)
    return quote(parts.path + ("?" + parts.query if parts.query else ""), safe=_IN_A_PATH + "{}")


def _plain(reply: Reply) -> Answer | NoAnswer:
    if (reply.header(b"content-encoding") or "identity").lower() != "identity":
        return NoAnswer(f"the answer ({reply.status}) is compressed, although only plain ones were asked for")
    quoted = reply.body.decode("utf-8", "surrogateescape")  # a server may quote our own header back at us
    return Answer(reply.status, redacted(quoted).encode("utf-8", "surrogateescape"), reply.header(b"retry-after"))
