"""The simulated device API on a real socket, 127.0.0.1 only.

    with running(seed=["AP-0001"], nested="merge") as sandbox:
        httpx.put(f"{sandbox.base_url}/inventory_device_serial_operation/AP-0001/", ...)
        [put] = sandbox.requests("PUT")
        assert sandbox.device("AP-0001")["status"] == "active"
        sandbox.faults("drop-after-commit:30%", "latency=20ms")

A command run with the variables in `sandbox.environ` talks to it.
"""

import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn

from reconciler.model import Json, Nested
from reconciler.sandbox.api import application
from reconciler.sandbox.devices import Devices
from reconciler.sandbox.faults import Faults
from reconciler.sandbox.received import BASE_PATH, Received
from reconciler.sandbox.wire import Server, protocol

DEFAULT_TOKEN: Final = "sandbox-token"  # noqa: S105 - opens nothing but a sandbox on this machine


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A sandbox that is running."""

    base_url: str
    token: str
    _devices: Devices
    _faults: Faults
    _log: list[Received]

    @property
    def environ(self) -> Mapping[str, str]:
        """The variables that point the reconciler here."""
        return {"RECONCILER_BASE_URL": self.base_url, "RECONCILER_TOKEN": self.token}

    def requests(self, method: str = "") -> tuple[Received, ...]:
        """What it was asked until now, in the order of the answers; only requests of that method if one is given."""
        return tuple(received for received in self._log if method in {"", received.method})

    def device(self, serial: str) -> Mapping[str, Json]:
        """The full device as the server holds it. Raises KeyError if the serial is unknown."""
        found = self._devices.get(serial)
        if found is None:
            raise KeyError(serial)
        return found

    def devices(self) -> list[dict[str, Json]]:
        """Every device as the server holds it, in serial order."""
        return self._devices.all()

    def seed(self, *serials: str) -> None:
        """Make more serials known."""
        self._devices.seed(serials)

    def faults(self, *specs: str) -> None:
        """Have these faults from now on, and no others; none if none is given. Raises Usage if a spec makes no sense.

        What struck is in `requests()`. Shares and numbers of requests count from here.
        """
        self._faults.set(specs)

    def forget_requests(self) -> None:
        """Begin `requests` anew."""
        self._log.clear()

    def clear(self) -> None:
        """Forget all devices, faults and requests, and those that a fault holds up."""
        self.faults()
        for held_up in self._faults.at_work.copy():
            held_up.get_loop().call_soon_threadsafe(held_up.cancel)
        self._devices.clear()
        self.forget_requests()


def _ignore(_received: Received) -> None:
    pass


@contextmanager
def running(
    *,
    seed: Iterable[str] = (),
    nested: Nested = "replace",
    port: int = 0,
    token: str = DEFAULT_TOKEN,
    database: Path | None = None,
    faults: Iterable[str] = (),
    show: Callable[[Received], None] = _ignore,
) -> Iterator[Sandbox]:
    """A sandbox in a thread of this process while the block runs; port 0 takes a free one.

    `show` is called in that thread for every request. Raises Usage if a fault makes no sense, OSError if the port is
    taken and sqlite3.Error if the database cannot be used.
    """
    faulty = Faults(faults)
    log: list[Received] = []
    listener = socket.create_server(("127.0.0.1", port), backlog=512)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or each answer waits 40 ms for a delayed ACK
    try:
        devices = Devices(database, nested=nested)
    except BaseException:
        listener.close()
        raise
    devices.seed(seed)
    app = application(devices, token, faulty, log, show)
    server = Server(
        uvicorn.Config(
            app,
            http=protocol(faulty),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,
        ),
        faulty,
    )
    thread = threading.Thread(target=server.run, args=([listener],), name="sandbox", daemon=True)
    # The socket listens already: whoever connects now is served as soon as the thread is up.
    thread.start()
    try:
        yield Sandbox(f"http://127.0.0.1:{listener.getsockname()[1]}{BASE_PATH}", token, devices, faulty, log)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
        devices.close()
