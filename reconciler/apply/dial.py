"""How a connection to a server comes about: TCP, a tunnel where there is a proxy, TLS where the address says so."""

import asyncio
import ssl
from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, urlsplit

import certifi

from reconciler.apply.answer import NoAnswer
from reconciler.apply.connection import Connection, request
from reconciler.redaction import redacted

_PORTS = {"http": 80, "https": 443}
_EAGER = 0.25
"""Seconds after which the next address of a name is tried, too (RFC 8305)."""


class ProxyRefusal(Exception):
    """The proxy was reached, and makes no tunnel."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect. `tls` says how to trust it; None: in clear text."""

    host: str
    port: int
    tls: ssl.SSLContext | None

    @classmethod
    def of(cls, url: str) -> Self:
        """Of an http or https URL."""
        parts = urlsplit(url)
        return cls(parts.hostname or "", _port(parts), _trust() if parts.scheme == "https" else None)

    @property
    def name(self) -> str:
        """HOST:PORT, whatever the port."""
        return f"{self._bracketed}:{self.port}"

    @property
    def authority(self) -> str:
        """What the Host header says: no port where it goes without saying."""
        return self._bracketed if self.port == _PORTS["https" if self.tls else "http"] else self.name

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def _port(parts: SplitResult) -> int:
    return parts.port if parts.port is not None else _PORTS[parts.scheme]


def _trust() -> ssl.SSLContext:
    """The system's trusted certificates and certifi's; TLS 1.2 or newer."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


async def dial(server: Address, proxy: Address | None, *, longest: int) -> Connection:
    """A connection on which nothing was sent to the server yet, through `proxy` if it is encrypted.

    Clear text goes to this machine only, as the settings see to. Raises OSError, of which ssl.SSLError is one for a
    server that is not to be trusted, and ProxyRefusal.
    """
    if proxy is None or server.tls is None:
        return await _reached(server, longest)
    way = await _reached(proxy, longest)
    try:
        await _tunnel(way, server)
        return await _encrypted(way, server.host, server.tls, longest)
    except BaseException:
        way.transport.abort()
        raise


async def _tunnel(way: Connection, server: Address) -> None:
    name = server.name.encode()
    reply = await way.exchange(request(b"CONNECT", name, [(b"Host", name)]))
    if isinstance(reply, NoAnswer):
        raise ProxyRefusal(reply.reason)
    if not 200 <= reply.status < 300:  # noqa: PLR2004 - the class of successes
        raise ProxyRefusal(redacted(f"{reply.status} {reply.reason}"))


async def _reached(address: Address, longest: int) -> Connection:
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(
        lambda: Connection(longest), address.host, address.port, ssl=address.tls, happy_eyeballs_delay=_EAGER
    )
    return connection


async def _encrypted(way: Connection, host: str, tls: ssl.SSLContext, longest: int) -> Connection:
    inner = Connection(longest)
    transport = await asyncio.get_running_loop().start_tls(way.transport, inner, tls, server_hostname=host)
    if transport is None:
        raise ConnectionError("the tunnel broke")
    inner.connection_made(transport)
    return inner
