"""Against real sockets: servers that are slow, rude, endless or absent."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Literal, cast

import pytest
from examples import AP

from reconciler.apply.answer import Answer, NoAnswer, NotSent
from reconciler.apply.device_api import DeviceApi
from reconciler.errors import ApiError
from reconciler.model import Serial
from reconciler.redaction import Token

CAP = 100_000
Serve = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


def put(
    serve: Serve,
    *,
    serial: Serial = AP,
    body: Literal["plain", "data-string"] = "plain",
    timeout: float = 20.0,
    times: int = 1,
    base: str = "",
    together: bool = False,
) -> tuple[list[Answer | NotSent | NoAnswer], list[bytes], int]:
    """The answers of a server that treats each request with `serve`, the requests, and the number of connections."""
    requests: list[bytes] = []
    connections = 0
    handlers: list[asyncio.Task[None]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        handlers.append(cast("asyncio.Task[None]", asyncio.current_task()))
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
                requests.append(head + await reader.readexactly(length))
                await serve(requests[-1], writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def main() -> list[Answer | NotSent | NoAnswer]:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, _api(base or f"http://127.0.0.1:{port}/api/v1/", body=body, timeout=timeout) as api:
            puts = [api.put(serial, {"status": "é"}) for _ in range(times)]
            answers = await asyncio.gather(*puts) if together else [await each for each in puts]
        if handlers:
            await asyncio.wait(handlers, timeout=5)
        return answers

    return asyncio.run(main()), requests, connections


def _api(
    base_url: str,
    *,
    body: Literal["plain", "data-string"] = "plain",
    timeout: float = 20.0,
    connect_timeout: float | None = None,
    token: Token = Token("s3cr3t"),  # noqa: B008 - it does not change
) -> DeviceApi:
    return DeviceApi(
        base_url,
        token,
        route="PUT /inventory_device_serial_operation/{serial_number}/",
        auth_scheme="Bearer",
        body=body,
        timeout=timeout,
        connect_timeout=connect_timeout or timeout,
        max_answer_bytes=CAP,
        concurrency=2,
    )


def raw(*chunks: bytes, pause: float = 0.0) -> Serve:
    async def serve(_: bytes, writer: asyncio.StreamWriter) -> None:
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(pause)

    return serve


def response(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


async def hang_up(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.close()


def test_the_request_is_the_documented_one() -> None:
    [answer], [request], _ = put(raw(response(b"{}")))

    assert answer == Answer(200, b"{}")
    head, _, sent = request.partition(b"\r\n\r\n")
    assert head.startswith(b"PUT /api/v1/inventory_device_serial_operation/AP-0001/ HTTP/1.1\r\n")
    assert b"authorization: bearer s3cr3t" in head.lower()
    assert b"accept-encoding: identity" in head.lower()
    assert json.loads(sent) == {"status": "é"}


def test_the_body_can_be_wrapped_as_a_string_in_data() -> None:
    _, [request], _ = put(raw(response(b"{}")), body="data-string")

    assert json.loads(json.loads(request.partition(b"\r\n\r\n")[2])["data"]) == {"status": "é"}


def test_a_connection_is_used_again() -> None:
    answers, requests, connections = put(raw(response(b"{}")), times=5)

    assert (len(answers), len(requests), connections) == (5, 5, 1)


def test_an_answer_that_drips_is_given_up_at_the_deadline() -> None:
    endless = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", *([b" "] * 1000), pause=0.05)
    [answer], requests, _ = put(endless, timeout=2.0)

    assert isinstance(answer, NoAnswer)
    assert len(requests) == 1


@pytest.mark.parametrize(
    "serve",
    [
        hang_up,
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"),
        raw(b"SSH-2.0-OpenSSH\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 200_000 + b"\r\n\r\n"),
        raw(response(b"{}", headers="Content-Encoding: gzip\r\n")),
        raw(response(b" " * (CAP + 1))),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *([b"ffff\r\n" + b" " * 65535 + b"\r\n"] * 20)),
    ],
    ids=["hang-up", "short", "not-http", "huge-header", "gzip", "too-long", "endless-chunks"],
)
def test_what_is_no_complete_plain_answer_is_no_answer(serve: Serve) -> None:
    [answer], requests, _ = put(serve, timeout=2.0)

    assert isinstance(answer, NoAnswer), answer
    assert len(requests) == 1


def test_a_redirect_is_an_answer_and_not_followed() -> None:
    [answer], requests, _ = put(raw(response(b"", "307 Temporary Redirect", "Location: /elsewhere\r\n")))

    assert answer == Answer(307, b"")
    assert len(requests) == 1


def test_a_port_where_nobody_listens_means_that_nothing_was_sent() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        [answer], _, _ = put(hang_up, base=f"http://127.0.0.1:{taken.getsockname()[1]}")

    assert isinstance(answer, NotSent)
    assert "cannot connect to 127.0.0.1" in answer.reason


def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    [answer], _, _ = put(raw(response(b"{}")))

    assert answer == Answer(200, b"{}")


def test_retry_after_is_passed_on_as_it_came() -> None:
    [answer], _, _ = put(raw(response(b"", "429 Too Many Requests", "Retry-After: 7\r\n")))

    assert answer == Answer(429, b"", "7")


def test_requests_beyond_the_lanes_wait_for_one() -> None:
    open_now = 0
    at_once: list[int] = []

    async def serve(_: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now
        open_now += 1
        at_once.append(open_now)
        await asyncio.sleep(0.01)
        open_now -= 1
        writer.write(response(b"{}"))

    answers, _, connections = put(serve, times=8, together=True)

    assert answers == [Answer(200, b"{}")] * 8
    assert (max(at_once), connections) == (2, 2)


def test_a_token_that_the_server_quotes_does_not_come_back() -> None:
    async def quote(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(response(request, "400 Bad Request"))

    [answer], [request], _ = put(quote)

    assert b"Bearer s3cr3t" in request
    assert isinstance(answer, Answer)
    assert b"Bearer (token)" in answer.body


def test_a_connection_that_the_server_closed_while_idle_is_replaced() -> None:
    """And that before a byte leaves: nobody has to wonder whether the request arrived."""

    async def goodbye(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(response(b"{}"))
        await writer.drain()
        writer.close()

    answers, requests, connections = put(goodbye, times=5)

    assert answers == [Answer(200, b"{}")] * 5
    assert (len(requests), connections) == (5, 5)


def test_a_server_that_closes_after_every_answer_and_says_so_is_asked_anew() -> None:
    answers, requests, connections = put(raw(response(b"{}", headers="Connection: close\r\n")), times=3)

    assert answers == [Answer(200, b"{}")] * 3
    assert (len(requests), connections) == (3, 3)


def test_a_request_that_may_have_arrived_is_not_sent_again() -> None:
    """Over a connection that carried an answer before, too: the server may have died of the second request."""
    asked = 0

    async def serve(request: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await (hang_up if asked == 2 else raw(response(b"{}")))(request, writer)

    answers, requests, connections = put(serve, times=3)

    assert answers[0] == answers[2] == Answer(200, b"{}")
    assert answers[1] == NoAnswer("connection broke: the server hung up without an answer")
    assert (len(requests), connections) == (3, 2)


def test_what_nobody_asked_for_is_not_taken_for_the_next_answer() -> None:
    twice = raw(response(b'{"mine": 1}') + response(b'{"whose": 1}', "500 Internal Server Error"))
    answers, requests, _ = put(twice, times=3)

    assert answers == [Answer(200, b'{"mine": 1}')] * 3
    assert len(requests) == 3


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + response(b"{}"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
    ],
    ids=["with hints before", "chunked"],
)
def test_an_answer_may_come_in_any_form_that_http_knows(answer: bytes) -> None:
    whole, _, connections = put(raw(answer), times=2)
    in_drops, _, _ = put(raw(*(bytes([byte]) for byte in answer)))

    assert (whole, in_drops, connections) == ([Answer(200, b"{}")] * 2, [Answer(200, b"{}")], 1)


def test_an_answer_of_no_told_length_ends_with_its_connection() -> None:
    async def serve(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n{}")
        writer.close()

    answers, _, connections = put(serve, times=2)

    assert (answers, connections) == ([Answer(200, b"{}")] * 2, 2)


def test_a_server_that_accepts_too_late_got_nothing() -> None:
    """TLS to one that never says hello: no request has left when the time is over."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        [answer], _, _ = put(hang_up, base=f"https://127.0.0.1:{silent.getsockname()[1]}", timeout=0.2)

    assert isinstance(answer, NotSent)
    assert "timed out" in answer.reason


def test_a_connection_takes_no_longer_than_its_request_may() -> None:
    async def main(base_url: str) -> Answer | NotSent | NoAnswer:
        async with asyncio.timeout(20), _api(base_url, timeout=0.2, connect_timeout=60) as api:
            return await api.put(AP, {})

    with socket.create_server(("127.0.0.1", 0)) as silent:
        answer = asyncio.run(main(f"https://127.0.0.1:{silent.getsockname()[1]}"))

    assert isinstance(answer, NotSent)
    assert "timed out" in answer.reason


def test_an_address_and_a_serial_reach_the_server_as_they_are_meant() -> None:
    _, [request], _ = put(raw(response(b"{}")), serial=Serial("A~1.b_c"))

    head = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    assert head[0] == "PUT /api/v1/inventory_device_serial_operation/A~1.b_c/ HTTP/1.1"
    assert [line for line in head if line.lower().startswith("host: 127.0.0.1:")]


def test_a_header_that_cannot_be_one_stops_the_run() -> None:
    async def main() -> None:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        token = Token("line\nbreak")
        async with server, _api(f"http://127.0.0.1:{port}", token=token) as api:
            with pytest.raises(ApiError, match="the request cannot be made"):
                await api.put(AP, {})

    asyncio.run(main())


def test_an_answer_before_the_request_was_heard_to_its_end_ends_the_connection() -> None:
    async def main() -> tuple[Answer | NotSent | NoAnswer, Answer | NotSent | NoAnswer, int]:
        asked_again = asyncio.Event()
        handlers: list[asyncio.Task[None] | None] = []

        async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            handlers.append(asyncio.current_task())
            await reader.readuntil(b"\r\n\r\n")
            writer.write(response(b"{}", "413 Content Too Large"))
            if len(handlers) > 1:
                asked_again.set()
            await asked_again.wait()
            with suppress(ConnectionError):
                while await reader.read(1_000_000):
                    pass
            writer.close()

        server = await asyncio.start_server(hasty, "127.0.0.1", 0, limit=1000)
        port = server.sockets[0].getsockname()[1]
        async with server, _api(f"http://127.0.0.1:{port}/api/v1/") as api:
            answers = await api.put(AP, {"status": "x" * 20_000_000}), await api.put(AP, {"status": "x"})
            asked_again.set()
        await asyncio.wait([task for task in handlers if task], timeout=5)
        return *answers, len(handlers)

    first, second, connections = asyncio.run(main())

    assert [answer.status for answer in (first, second) if isinstance(answer, Answer)] == [413, 413]
    assert connections == 2


def test_what_no_server_should_say_is_quoted_in_short() -> None:
    [answer], _, _ = put(raw(b"HTTP/1.1 so " + b"x" * 50_000 + b"\r\n\r\n"))

    assert isinstance(answer, NoAnswer)
    assert answer.reason.startswith("connection broke: illegal status line")
    assert len(answer.reason) < 250
