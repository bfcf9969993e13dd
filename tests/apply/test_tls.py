"""TLS against certificates made for the test, on a real socket: what is not to be trusted gets no request."""

import shutil
import socket
import ssl
import subprocess
import threading
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import Declare, Run
from recorder import recording

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl program is not installed")


@pytest.fixture(autouse=True)
def _two_devices(declare: Declare) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")
    declare("b.yaml", serial_number="AP-2", status="active")


def certificate(folder: Path, name: str = "IP:127.0.0.1") -> Path:
    """A self-made certificate and its key, in one file."""
    file = folder / "certificate.pem"
    parts = [folder / "key.pem", folder / "cert.pem"]
    made = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test")
    given = ("-addext", f"subjectAltName={name}", "-keyout", parts[0], "-out", parts[1])
    subprocess.run([*made, *given], capture_output=True, check=True)
    file.write_text("".join(part.read_text() for part in parts))
    return file


def serving(file: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def test_a_certificate_that_is_trusted_lets_everything_through(run: Run, tmp_path: Path) -> None:
    file = certificate(tmp_path)
    with recording(tls=serving(file)) as server:
        ran = run("apply", "--auto-approve", environ={**server.environ, "SSL_CERT_FILE": str(file)})

    assert (ran.code, len(server.asked)) == (0, 2), ran.stderr


def test_a_certificate_that_nobody_vouches_for_stops_the_run_before_anything_is_sent(run: Run, tmp_path: Path) -> None:
    with recording(tls=serving(certificate(tmp_path))) as server:
        ran = run("apply", "--auto-approve", environ=server.environ)

    assert (ran.code, server.asked, server.connections) == (1, [], 1)
    assert "127.0.0.1: TLS: " in ran.stderr
    assert "self-signed certificate" in ran.stderr or "self signed certificate" in ran.stderr
    assert "check api.base_url and the certificate" in ran.stderr
    assert "Apply: 2 not attempted" in ran.stdout


def test_a_trusted_certificate_for_another_name_is_not_enough(run: Run, tmp_path: Path) -> None:
    file = certificate(tmp_path, "DNS:control.example.com")
    with recording(tls=serving(file)) as server:
        ran = run("apply", "--auto-approve", environ={**server.environ, "SSL_CERT_FILE": str(file)})

    assert (ran.code, server.asked, server.connections) == (1, [], 1)
    assert "certificate is not valid for '127.0.0.1'" in ran.stderr


def test_a_server_that_only_speaks_tls_1_1_is_refused(run: Run, tmp_path: Path) -> None:
    file = certificate(tmp_path)
    context = serving(file)
    old(context)
    with recording(tls=context) as server:
        if not speaks(server.base_url, file):
            pytest.skip("this OpenSSL speaks no TLS 1.1, so there is no such server to refuse")
        ran = run("apply", "--auto-approve", environ={**server.environ, "SSL_CERT_FILE": str(file)})

    assert (ran.code, server.asked, server.connections) == (1, [], 2)
    assert "127.0.0.1: TLS: " in ran.stderr


def test_noise_in_place_of_an_answer_is_told_like_any_broken_connection(run: Run, tmp_path: Path) -> None:
    """The handshake was good, and the request may have arrived: unknown, for this device alone."""
    file = certificate(tmp_path)
    (tmp_path / "reconciler.toml").write_text("[api]\nattempts = 1\n")
    with noise(serving(file)) as port:
        environ = {
            "RECONCILER_BASE_URL": f"https://127.0.0.1:{port}",
            "RECONCILER_TOKEN": "t",
            "SSL_CERT_FILE": str(file),
        }
        ran = run("apply", "--auto-approve", environ=environ)

    assert (ran.code, ran.stderr) == (3, "")
    assert "Apply: 2 unknown" in ran.stdout
    assert "connection broke: [SSL: " in ran.stdout


@contextmanager
def noise(context: ssl.SSLContext) -> Iterator[int]:
    """A port where TLS is spoken for the handshake, and then something that only looks like it."""

    def serve() -> None:
        with suppress(OSError):
            while True:
                plain, _ = listening.accept()
                with closing(plain), suppress(ssl.SSLError):
                    told, says = ssl.MemoryBIO(), ssl.MemoryBIO()
                    spoken = context.wrap_bio(told, says, server_side=True)
                    while not handshake_is_done(spoken):
                        plain.sendall(says.read())
                        told.write(plain.recv(1 << 16))
                    plain.sendall(says.read())
                    plain.sendall(b"\x17\x03\x03\x00\x40" + b"x" * 64)
                    while plain.recv(1 << 16):
                        pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def handshake_is_done(spoken: ssl.SSLObject) -> bool:
    try:
        spoken.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def old(context: ssl.SSLContext) -> None:
    """Have it speak TLS 1.1 and nothing newer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")


def speaks(base_url: str, file: Path) -> bool:
    """Whether a client that has nothing against TLS 1.1 gets through."""
    client = ssl.create_default_context(cafile=file)
    old(client)
    with (
        suppress(ssl.SSLError),
        closing(socket.create_connection(("127.0.0.1", urlsplit(base_url).port or 0))) as plain,
        client.wrap_socket(plain, server_hostname="127.0.0.1") as spoken,
    ):
        return spoken.version() == "TLSv1.1"
    return False
