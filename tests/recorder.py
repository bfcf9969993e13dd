"""A server that answers as told and remembers what it was asked, for what no sandbox does."""

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. `at` in seconds of the monotonic clock."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    at: float


@dataclass(frozen=True, slots=True)
class Told:
    """One answer; `status` 0 hangs up instead. `after`: seconds until it comes."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    after: float = 0.0


Answering = Callable[[Asked], Told]


@dataclass(slots=True)
class Recorder:
    """`connections` are those that were taken up, whether a request came over them or not."""

    base_url: str
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0

    @property
    def environ(self) -> dict[str, str]:
        return {"RECONCILER_BASE_URL": self.base_url, "RECONCILER_TOKEN": "s3cr3t-t0ken"}


def echo(asked: Asked) -> Told:
    """What the device API answers."""
    sent = json.loads(asked.body["data"]) if list(asked.body) == ["data"] else asked.body
    serial = asked.path.strip("/").rpartition("/")[2]
    return Told(body=json.dumps({"serial_number": serial, **sent}).encode())


@contextmanager
def recording(answering: Answering = echo, tls: ssl.SSLContext | None = None) -> Iterator[Recorder]:
    """A recorder on a real socket of this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, self.path, headers, json.loads(content), time.monotonic())
            recorder.asked.append(asked)
            told = answering(asked)
            time.sleep(told.after)
            if not told.status:
                self.close_connection = True
                return
            self.send_response(told.status)
            for name, value in {"Content-Length": str(len(told.body)), **told.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(told.body)

        do_PUT = do_PATCH = _answer  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's signature
            """Nobody reads it."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def get_request(self) -> tuple[Any, Any]:
            recorder.connections += 1
            return super().get_request()

        def handle_error(self, request: object, client_address: object) -> None:
            """Clients that go away are part of the tests."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    recorder = Recorder(f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}/api/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield recorder
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
