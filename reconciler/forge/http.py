"""The one door to a forge: JSON over HTTPS, with a token that is given to no other host."""

import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from urllib.parse import urljoin, urlsplit

import certifi
import httpx

from reconciler import __version__
from reconciler.errors import ForgeDenied, ForgeError
from reconciler.redaction import redacted

ATTEMPTS = 3
LONGEST_WAIT = 60.0
"""Seconds: who is told to wait longer than that gives up."""
TIMEOUT = 30.0
"""Seconds for an answer; ten times that for a file."""
LONGEST_ANSWER = 16 << 20
"""Bytes of a JSON answer."""
REDIRECTS = 3
MOST_PAGES = 50
PAGE = 100
LIMITED = {403, 429}
DENIED = {401, 403, 404}
BUSY = {500, 502, 503, 504}
LOCAL = {"127.0.0.1", "localhost", "::1"}

Method = Literal["GET", "POST", "PATCH", "PUT"]
Query: TypeAlias = Mapping[str, str | int] | None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, read whole. The names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether it is one of the 2xx."""
        return 200 <= self.status < 300  # noqa: PLR2004 - as RFC 9110 numbers them

    def json(self) -> Any:  # noqa: ANN401 - whatever the forge says
        """The document. Raises ForgeError if it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise ForgeError(f"an answer ({self.status}) of the forge is not JSON") from None


class Http:
    """One forge. `headers` hold the token, and go nowhere but to the origin of `base_url`."""

    def __init__(
        self, base_url: str, headers: Mapping[str, str], *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._base = base_url.rstrip("/")
        self._sleep = sleep
        self._tls = _tls()
        self._headers = dict(headers)
        _checked(base_url)

    def ask(
        self,
        method: Method,
        path: str,
        *,
        query: Query = None,
        send: Any = None,  # noqa: ANN401 - any JSON
    ) -> Reply:
        """The answer, whatever its status. `path` begins at the base URL, or is a whole URL of the same origin.

        Asked again, a few times: after 429, 403 with a time to wait, and, unless it might be done twice, after 5xx and
        broken connections. Raises ForgeError if there is no answer.
        """
        url = path if "://" in path else self._base + path
        if _origin(url) != _origin(self._base):
            raise ForgeError(f"{_shown(url)} is not where the token belongs")
        for attempt in range(1, ATTEMPTS + 1):
            last = attempt == ATTEMPTS
            try:
                reply = self._read(method, url, LONGEST_ANSWER, TIMEOUT, self._headers, query=query, send=send)
            except ForgeError:
                if last or method == "POST":
                    raise
                wait: float | None = float(attempt)
            else:
                wait = _wait(reply, attempt, again=method != "POST")
                if wait is None or last:
                    return reply
            self._sleep(wait or 0.0)
        raise AssertionError("unreachable")

    def known(self, method: Method, path: str, *, query: Query = None, send: Any = None) -> Any:  # noqa: ANN401 - any JSON
        """The document that a 2xx answer holds. Raises ForgeDenied for 401, 403 and 404, ForgeError for others."""
        reply = self.ask(method, path, query=query, send=send)
        if reply.status in DENIED:
            raise ForgeDenied(f"{_shown(path)} answered {reply.status}: the token may not do that")
        if not reply.ok:
            raise ForgeError(f"{_shown(path)} answered {reply.status}")
        return reply.json()

    def pages(self, path: str, *, key: str = "", query: Query = None) -> Iterator[Any]:
        """The items of a list, or of the list under `key`, up to MOST_PAGES pages of it. Raises like `known`."""
        for page in range(1, MOST_PAGES + 1):
            document = self.known("GET", path, query={**(query or {}), "per_page": PAGE, "page": page})
            items = document.get(key) if key and isinstance(document, dict) else document
            if not isinstance(items, list):
                raise ForgeError(f"{_shown(path)} is not a list")
            yield from (item for item in items if isinstance(item, dict))
            if len(items) < PAGE:
                return

    def download(self, path: str, most: int) -> bytes | None:
        """A file of up to `most` bytes, following redirects without the token; None if there is none (404, 410)."""
        url = self._base + path
        reply = self._read("GET", url, most, TIMEOUT * 10, self._headers)
        for _ in range(REDIRECTS):
            if reply.status not in {301, 302, 303, 307, 308}:
                break
            url = urljoin(url, reply.headers.get("location", ""))
            try:
                _checked(url)
            except ForgeError:
                raise ForgeError(f"the file is said to be at {_shown(url)}; expected https") from None
            reply = self._read("GET", url, most, TIMEOUT * 10, {})
        if reply.status in {404, 410}:
            return None
        if not reply.ok:
            raise ForgeError(f"{_shown(url)} answered {reply.status}")
        return reply.body

    def _read(
        self,
        method: Method,
        url: str,
        most: int,
        seconds: float,
        headers: Mapping[str, str],
        *,
        query: Query = None,
        send: Any = None,  # noqa: ANN401 - any JSON
    ) -> Reply:
        ends = time.monotonic() + seconds
        body = bytearray()
        try:
            with (
                _client(headers, self._tls) as client,
                client.stream(method, url, params=query, json=send) as reply,
            ):
                for chunk in reply.iter_bytes():
                    body += chunk
                    if len(body) > most:
                        raise ForgeError(f"{_shown(url)}: the answer is longer than {most:,} bytes")
                    if time.monotonic() > ends:
                        raise ForgeError(f"{_shown(url)}: no complete answer within {seconds:g} s")
                return Reply(reply.status_code, {k.lower(): v for k, v in reply.headers.items()}, bytes(body))
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise ForgeError(f"{_shown(url)}: {redacted(str(error)) or type(error).__name__}") from None


def _client(headers: Mapping[str, str], tls: ssl.SSLContext) -> httpx.Client:
    return httpx.Client(
        verify=tls,
        headers={"User-Agent": f"reconciler/{__version__}", "Accept-Encoding": "identity", **headers},
        timeout=httpx.Timeout(TIMEOUT, connect=10.0),
        follow_redirects=False,
        trust_env=False,
    )


def _wait(reply: Reply, attempt: int, *, again: bool) -> float | None:
    """Seconds until it may be asked again; None: this is the answer."""
    if reply.status in BUSY and again:
        return float(attempt)
    if reply.status not in LIMITED:
        return None
    seconds: float | None = None
    with suppress(ValueError):
        if "retry-after" in reply.headers:
            seconds = float(reply.headers["retry-after"])
        elif reply.headers.get("x-ratelimit-remaining") == "0":
            seconds = float(reply.headers.get("x-ratelimit-reset", "")) - time.time()
    if seconds is None:
        return float(attempt) if reply.status == 429 else None  # noqa: PLR2004 - too many requests
    return max(0.0, seconds) if seconds <= LONGEST_WAIT else None


def _checked(url: str) -> str:
    """The URL. Raises ForgeError unless it is https, or this machine."""
    with suppress(ValueError):
        parts = urlsplit(url)
        usable = parts.hostname and not parts.username and not parts.password
        if usable and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOCAL)):
            return url
    raise ForgeError(f"the API of the forge is said to be at {_shown(url)}; expected https://HOST/PATH")


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _shown(url: str) -> str:
    """Without the query, which may be a key."""
    return redacted(url.partition("?")[0])


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
