"""One HTTP/1.1 connection, as an asyncio protocol around h11: a request goes out at once, its answer comes in parts.

httpx costs a millisecond a request on top of this; most of `apply` would be waiting for its own client.
"""

import asyncio
import select
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import h11
from h11 import LocalProtocolError as Unsendable
from h11 import Request

from reconciler.apply.answer import NoAnswer
from reconciler.redaction import redacted

__all__ = ["Connection", "Reply", "Request", "Unsendable", "request", "retargeted"]

LONGEST_HEAD = 100 * 1024
"""Bytes of a status line and headers."""
LONGEST_REASON = 200
"""Characters of what h11 says, which may quote all of a head."""

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete response as it came; the names in `headers` are in lower case."""

    status: int
    reason: str
    headers: Headers
    body: bytes

    def header(self, name: bytes) -> str | None:
        """The first value of the header of that name."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), None)


def request(method: bytes, target: bytes, headers: Headers) -> Request:
    """The head of a request. Raises Unsendable for what cannot be one."""
    return Request(method=method, target=target, headers=list(headers))


def retargeted(head: Request, target: bytes) -> Request:
    """The same head for another target: h11 need not look at its headers again, which is a third of making one."""
    return Request(method=head.method, target=target, headers=head.headers)


class Connection(asyncio.Protocol):
    """Carries one request after the other, for as long as both sides keep it open.

    An answer of more than `longest` bytes is not read to its end. After any answer but a complete one the connection is
    closed: what comes later could only be taken for the answer to something else.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=LONGEST_HEAD)
        self._answered: asyncio.Future[Reply | NoAnswer] | None = None
        self._head: h11.Response | None = None
        self._body = bytearray()
        self._silent = True
        self._gone = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport

    @property
    def usable(self) -> bool:
        """Whether another request may go out. Asks the socket: the loop may not yet have heard that the server left."""
        if self.transport.is_closing() or self._http.our_state is not h11.IDLE:
            return False
        arrived = select.poll()
        arrived.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not arrived.poll(0)

    async def exchange(self, request: Request, content: bytes = b"") -> Reply | NoAnswer:
        """Send one request and read the whole response. Bytes may have left whatever comes back, or if cancelled.

        Raises Unsendable, with nothing sent, for a request that is none.
        """
        said = [self._http.send(request)]
        if content:
            said.append(self._http.send(h11.Data(data=content)))
        said.append(self._http.send(h11.EndOfMessage()))
        self._answered = asyncio.get_running_loop().create_future()
        self._head, self._silent = None, True
        self._body.clear()
        self.transport.write(b"".join(part for part in said if part))
        try:
            return await self._answered
        finally:
            self._answered = None
            if self._http.our_state is not h11.IDLE and self._http.our_state is not h11.SWITCHED_PROTOCOL:
                self.transport.abort()

    def end(self, reply: Reply | NoAnswer) -> None:
        """What whoever waits for an answer gets, unless they have one."""
        if self._answered and not self._answered.done():
            self._answered.set_result(reply)

    async def close(self) -> None:
        """Return once the socket is closed."""
        self.transport.abort()
        await self._gone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what requests are written to."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take in what the server says; before it is asked, it has nothing to say."""
        if self._answered is None or self._answered.done():
            self.transport.abort()
            return
        self._silent = False
        self._http.receive_data(data)
        self._read()

    def eof_received(self) -> None:
        """Nothing more comes; where no length was told, this is how an answer ends."""
        if self._answered is None or self._answered.done():
            return
        if self._silent:
            self.end(NoAnswer("connection broke: the server hung up without an answer"))
            return
        self._http.receive_data(b"")
        self._read()

    def connection_lost(self, error: Exception | None) -> None:
        """Whoever waits for an answer does so in vain."""
        self.end(NoAnswer(f"connection broke: {redacted(str(error or '')) or type(error).__name__}"))
        if not self._gone.done():
            self._gone.set_result(None)

    def _read(self) -> None:
        try:
            while self._answered and not self._answered.done():
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    return
                self._take(event)
        except h11.RemoteProtocolError as error:
            self.end(NoAnswer(f"connection broke: {redacted(str(error))[:LONGEST_REASON]}"))

    def _take(self, event: object) -> None:
        if isinstance(event, h11.Response):
            self._head = event
        elif isinstance(event, h11.Data):
            self._body += event.data
            if self._head and len(self._body) > self._longest:
                self.end(NoAnswer(f"the answer ({self._head.status_code}) is longer than {self._longest:,} bytes"))
        elif event is h11.PAUSED or isinstance(event, h11.EndOfMessage):
            self._complete()

    def _complete(self) -> None:
        if self._head is None:
            self.end(NoAnswer("connection broke: the server speaks another protocol"))
            return
        if (
            self._http.our_state is h11.DONE
            and self._http.their_state is h11.DONE
            and not self._http.trailing_data[0]  # the answer to a question that nobody asked
            and not self.transport.get_write_buffer_size()  # it was given before the question was heard to its end
        ):
            self._http.start_next_cycle()
        reason = self._head.reason.decode("latin-1")
        self.end(Reply(self._head.status_code, reason, cast("Headers", self._head.headers), bytes(self._body)))
