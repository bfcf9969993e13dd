"""What every test may ask for: a sandbox, an inventory to write, and the real command to run."""

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings

from reconciler.model import Json
from reconciler.sandbox.server import Sandbox, running

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("any machine")

FIRST = "There is no state at sqlite:.reconciler/state.db yet: every device is new to it.\n"
"""What the first plan says on stderr."""
COMMAND = Path(sys.executable).with_name("reconciler")


class Caller:
    """Puts and gets devices, with the right token unless told otherwise."""

    def __init__(self, client: httpx.Client, sandbox: Sandbox) -> None:
        self._client = client
        self._sandbox = sandbox
        self.headers = {"Authorization": f"Bearer {sandbox.token}"}

    def ask(self, method: str, path: str, **arguments: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own arguments
        url = httpx.URL(self._sandbox.base_url).join(path)
        return self._client.request(method, url, headers=self.headers, **arguments)

    def put(self, serial: str, **body: Json) -> httpx.Response:
        return self.ask("PUT", f"/api/v1/inventory_device_serial_operation/{serial}/", json=body)

    def put_raw(self, serial: str, content: bytes) -> httpx.Response:
        return self.ask("PUT", f"/api/v1/inventory_device_serial_operation/{serial}/", content=content)


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended and what it said."""

    code: int
    stdout: str
    stderr: str


Declare = Callable[..., Path]
Run = Callable[..., Ran]


@pytest.fixture(scope="session")
def _server() -> Iterator[Sandbox]:
    with running() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(_server: Sandbox) -> Sandbox:
    """A simulated device API on a real socket, which knows no device yet: `sandbox.seed("AP-1", "AP-2")`.

    One process serves all tests, emptied for each. For other options: `with running(nested="merge") as sandbox`.
    """
    _server.clear()
    return _server


@pytest.fixture(scope="session")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as client:
        yield client


@pytest.fixture
def caller(client: httpx.Client, sandbox: Sandbox) -> Caller:
    """Calls the sandbox, which knows AP-1."""
    sandbox.seed("AP-1")
    return Caller(client, sandbox)


@pytest.fixture
def fresh(sandbox: Sandbox) -> Iterator[Caller]:
    """Calls the sandbox, which knows AP-1, over a connection that carried one answer, for faults that break it."""
    sandbox.seed("AP-1")
    with httpx.Client(trust_env=False) as client:
        caller = Caller(client, sandbox)
        assert caller.ask("GET", "/_sandbox/faults").json() == []
        yield caller


def struck(sandbox: Sandbox) -> list[tuple[str, ...]]:
    """The faults that struck each PUT."""
    return [put.faults for put in sandbox.requests("PUT")]


@pytest.fixture
def declare(tmp_path: Path) -> Declare:
    """Writes a file of the inventory in `tmp_path` and returns its path.

    `declare("lobby.yaml", serial_number="AP-1", status="active")`, or its text: `declare("lobby.yaml", "devices: []")`.
    """

    def write(name: str, text: str = "", /, **device: Json) -> Path:
        file = tmp_path / "inventory" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text) or json.dumps(device, indent=2), encoding="utf-8")
        return file

    return write


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the real command in `tmp_path`: `run("apply", "--auto-approve", environ=sandbox.environ)`.

    It sees `environ`, PATH, a home folder in `tmp_path` and a cache beside it; no proxies, no CI, no RECONCILER_*, no
    colours.
    """

    def command(*arguments: str | Path, environ: Mapping[str, str] | None = None, cwd: Path = tmp_path) -> Ran:
        done = subprocess.run(
            [COMMAND, *arguments],
            cwd=cwd,
            env=clean_environ() | {"HOME": str(tmp_path), "XDG_CACHE_HOME": f"{tmp_path}.cache"} | dict(environ or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return command


def clean_environ() -> dict[str, str]:
    """The least that a program needs to run, the same on every machine."""
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONWARNINGS": "error"}


def wait_for_commit(sandbox: Sandbox, serial: str) -> None:
    """Until the device is active there, whether or not this was answered. Fails after half a minute."""
    for _ in range(3000):
        if sandbox.device(serial)["status"] == "active":
            return
        time.sleep(0.01)
    raise AssertionError(f"{serial} was never changed")


def wait_for_line(process: subprocess.Popen[str], words: str) -> None:
    """Read what the program says on stderr up to a line with these words. Fails if it ends before."""
    assert process.stderr is not None
    assert any(words in line for line in iter(process.stderr.readline, "")), f"it ended without {words!r}"
