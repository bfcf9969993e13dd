"""Through a real proxy, to a real TLS server: only where the settings say so."""

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import Declare, Run
from recorder import recording
from test_tls import certificate, serving

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl program is not installed")


@contextmanager
def proxy(*, open_: bool = True) -> Iterator[tuple[int, list[str]]]:
    """A port, and the first lines of what was asked of it: tunnels, or refusals."""
    asked: list[str] = []

    def pump(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(1 << 16):
                other.sendall(data)
        with suppress(OSError):
            other.shutdown(socket.SHUT_WR)

    def serve(client: socket.socket) -> None:
        with client:
            head = b""
            while b"\r\n\r\n" not in head and (data := client.recv(1 << 16)):
                head += data
            asked.append(head.split(b"\r\n")[0].decode())
            if not open_:
                client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                return
            host, _, port = head.split()[1].decode().partition(":")
            with socket.create_connection((host, int(port))) as server:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=pump, args=(server, client), daemon=True)
                back.start()
                pump(client, server)
                back.join(5)

    def listen() -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=listen, daemon=True).start()
        yield listening.getsockname()[1], asked


@pytest.fixture(autouse=True)
def _a_device(declare: Declare) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")


def test_a_proxy_that_is_configured_carries_every_connection(run: Run, tmp_path: Path) -> None:
    file = certificate(tmp_path)
    with proxy() as (port, asked), recording(tls=serving(file)) as server:
        (tmp_path / "reconciler.toml").write_text(f'[api]\nproxy = "http://127.0.0.1:{port}"\n')
        ran = run("apply", "--auto-approve", environ={**server.environ, "SSL_CERT_FILE": str(file)})

    assert (ran.code, len(server.asked)) == (0, 1), ran.stderr
    assert asked == [f"CONNECT {urlsplit(server.base_url).netloc} HTTP/1.1"]


def test_a_proxy_that_refuses_leaves_the_device_alone(run: Run, tmp_path: Path) -> None:
    file = certificate(tmp_path)
    with proxy(open_=False) as (port, asked), recording(tls=serving(file)) as server:
        (tmp_path / "reconciler.toml").write_text(f'[api]\nproxy = "http://127.0.0.1:{port}"\nattempts = 1\n')
        ran = run("apply", "--auto-approve", environ={**server.environ, "SSL_CERT_FILE": str(file)})

    assert (ran.code, server.asked, len(asked)) == (1, [], 1)
    assert "the proxy refused: 403 Forbidden" in ran.stderr


def test_proxies_of_the_environment_do_not_count(run: Run, tmp_path: Path) -> None:
    file = certificate(tmp_path)
    with proxy() as (port, asked), recording(tls=serving(file)) as server:
        variables = dict.fromkeys(("https_proxy", "HTTPS_PROXY", "ALL_PROXY"), f"http://127.0.0.1:{port}")
        ran = run("apply", "--auto-approve", environ={**server.environ, **variables, "SSL_CERT_FILE": str(file)})

    assert (ran.code, len(server.asked), asked) == (0, 1, [])


@pytest.mark.parametrize(
    "proxy", ["127.0.0.1:3128", "socks5://127.0.0.1:1", "http://me:secret@127.0.0.1:1", "http://h"]
)
def test_what_is_no_proxy_is_refused(run: Run, tmp_path: Path, proxy: str) -> None:
    (tmp_path / "reconciler.toml").write_text(f'[api]\nproxy = "{proxy}"\n')

    ran = run("plan")

    assert (ran.code, "expected http://HOST:PORT" in ran.stderr) == (1, True)
    assert "secret" not in ran.stderr
