"""The device inventory API over httpx: the only place that speaks HTTP to devices."""

import asyncio
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote

import certifi
import httpx

from reconciler import __version__
from reconciler.apply.answer import Answer, NoAnswer, NotSent
from reconciler.canonical import canonical
from reconciler.errors import ApiError
from reconciler.model import Json, Serial
from reconciler.redaction import Token, redacted


class DeviceApi:
    """One server, one token, at most `concurrency` requests at a time. An async context manager.

    `timeout` is in seconds for a request as a whole, `connect_timeout` for its connection. An answer of more than
    `max_answer_bytes` is not read to its end, and not trusted. `proxy` is asked for every connection that leaves this
    machine.
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
        self._method, _, path = route.partition(" ")
        self._url = base_url.rstrip("/") + path
        self._wrapped = body == "data-string"
        self._timeout = timeout
        self._max_answer_bytes = max_answer_bytes
        tls: ssl.SSLContext | Literal[False] = _tls() if base_url.lower().startswith("https:") else False
        headers = {
            "Authorization": token.header(auth_scheme),
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": f"reconciler/{__version__}",
        }
        self._free = asyncio.Semaphore(concurrency)
        # Plain http goes to this machine only, as the settings see to.
        through = proxy if tls else ""
        self._clients = [_client(tls, headers, timeout, connect_timeout, through) for _ in range(concurrency)]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients:
            await client.aclose()

    async def put(self, serial: Serial, body: Mapping[str, Json]) -> Answer | NotSent | NoAnswer:
        """Send one partial update and read the whole response, all within the timeout.

        Raises ApiError if the server's certificate is not to be trusted.
        """
        content = canonical({"data": canonical(body)} if self._wrapped else body).encode()
        url = self._url.replace("{serial_number}", quote(serial, safe=""))
        async with self._free:
            client = self._clients.pop()
            try:
                return await self._exchange(client, url, content)
            finally:
                self._clients.append(client)

    async def _exchange(self, client: httpx.AsyncClient, url: str, content: bytes) -> Answer | NotSent | NoAnswer:
        try:
            async with asyncio.timeout(self._timeout), client.stream(self._method, url, content=content) as reply:
                return await _read(reply, self._max_answer_bytes)
        except TimeoutError:
            return NoAnswer(f"no complete answer within {self._timeout:g} s")
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            if _is_tls(error):
                raise ApiError(
                    f"{httpx.URL(url).host}: TLS: {redacted(str(error))}; check api.base_url and the certificate"
                ) from None
            return NotSent(f"cannot connect to {httpx.URL(url).netloc.decode()}: {redacted(str(error)) or 'timed out'}")
        except httpx.ProxyError as error:
            return NotSent(f"the proxy refused: {redacted(str(error))}")
        except httpx.LocalProtocolError as error:
            raise ApiError(f"the request cannot be made: {redacted(str(error))}") from None
        except (httpx.TransportError, OSError) as error:  # OSError: what ssl finds wrong after the handshake
            return NoAnswer(f"connection broke: {redacted(str(error)) or type(error).__name__}")


def _client(
    tls: ssl.SSLContext | Literal[False], headers: Mapping[str, str], timeout: float, connect_timeout: float, proxy: str
) -> httpx.AsyncClient:
    """A client with one connection: a pool that is shared by many requests gets slower with each of them."""
    return httpx.AsyncClient(
        verify=tls,
        headers=headers,
        timeout=httpx.Timeout(timeout, connect=min(timeout, connect_timeout)),
        limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
        follow_redirects=False,
        trust_env=False,
        proxy=proxy or None,
    )


async def _read(reply: httpx.Response, longest: int) -> Answer | NoAnswer:
    if reply.headers.get("Content-Encoding", "identity").lower() not in {"identity", ""}:
        return NoAnswer(f"the answer ({reply.status_code}) is compressed, although only plain ones were asked for")
    body = bytearray()
    async for chunk in reply.aiter_raw():
        body += chunk
        if len(body) > longest:
            return NoAnswer(f"the answer ({reply.status_code}) is longer than {longest:,} bytes")
    quoted = body.decode("utf-8", "surrogateescape")  # a server may quote our own header back at us
    return Answer(
        reply.status_code, redacted(quoted).encode("utf-8", "surrogateescape"), reply.headers.get("Retry-After")
    )


def _tls() -> ssl.SSLContext:
    """The system's trusted certificates and certifi's; TLS 1.2 or newer."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _is_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
