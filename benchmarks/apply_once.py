"""One measured run in a process of its own: `apply_once.py KIND PORT` in a folder with a plan; one line of JSON out.

Only what is said to be measured is: imports, the plan and the state are there before the clock starts.
"""

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

from measure import Cost

CONCURRENCY = 50
ROUTE = "/api/v1/inventory_device_serial_operation/{}/"
Put = Callable[[str, bytes], Awaitable[None]]


def main(kind: str, port: int) -> None:
    """Run, and say what it cost."""
    run = {"apply": applied, "no-journal": unrecorded, "plain": plain, "httpx": pooled}[kind]
    print(json.dumps(asdict(run(port))))


@contextmanager
def counted() -> Iterator[list[Cost]]:
    """The cost of the block, in the list once it is over; peak memory is that of the process."""
    costs: list[Cost] = []
    before, begun = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    yield costs
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    costs.append(Cost(cpu, wall, after.ru_maxrss / 1024))


def applied(port: int) -> Cost:
    """The whole of `apply`, with a durable journal."""
    from reconciler import reconcile
    from reconciler.agreement import plan_from
    from reconciler.config import load

    settings = load(Path.cwd(), os.environ)
    settings = replace(settings, api=replace(settings.api, base_url=f"http://127.0.0.1:{port}/api/v1"))
    agreed = plan_from(Path("plan.json").read_bytes())
    with counted() as costs:
        run = reconcile.apply(settings, agreed, {"RECONCILER_TOKEN": "s3cr3t-t0ken"}, allowed=("server",))
    if run.error or run.exit_code:
        raise RuntimeError(f"the run ended with {run.exit_code}: {run.error}")
    return costs[0]


def unrecorded(port: int) -> Cost:
    """The same, with a journal that writes nothing."""
    from reconciler.state.sqlite import SqliteBackend

    SqliteBackend.append = lambda *_: 0  # type: ignore[method-assign]
    return applied(port)


def bodies() -> list[tuple[str, bytes]]:
    """What the plan sends: of each device one field."""
    changes = json.loads(Path("plan.json").read_text(encoding="utf-8"))["changes"]
    return [
        (change["serial"], json.dumps({change["fields"][0]["path"][1:]: change["fields"][0]["after"]}).encode())
        for change in changes
    ]


class Client(asyncio.Protocol):
    """The least that an asyncio program can do: write the request, wait for as many bytes as the answer says."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what requests are written to."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """End the wait once the answer is whole."""
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if blank and len(body) >= int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]):
            self._answered.set_result(head.startswith(b"HTTP/1.1 200 "))

    async def put(self, serial: str, body: bytes) -> None:
        """Send one, as DeviceApi does. Raises RuntimeError for any other answer than 200."""
        self._received = b""
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(
            f"PUT {ROUTE.format(serial)} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer s3cr3t-t0ken\r\n"
            "Accept: application/json\r\nAccept-Encoding: identity\r\nContent-Type: application/json\r\n"
            f"User-Agent: reconciler\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        if not await self._answered:
            raise RuntimeError("not a 200")


def plain(port: int) -> Cost:
    """The same requests over as many connections, and nothing but them."""

    async def connected() -> list[Put]:
        loop = asyncio.get_running_loop()
        made = [await loop.create_connection(Client, "127.0.0.1", port) for _ in range(CONCURRENCY)]
        return [client.put for _, client in made]

    return asyncio.run(_sent(connected, bodies()))


def pooled(port: int) -> Cost:
    """The same by one httpx client with a pool of as many connections."""
    import httpx

    async def connected() -> list[Put]:
        limits = httpx.Limits(max_connections=CONCURRENCY, max_keepalive_connections=CONCURRENCY)
        client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            limits=limits,
            timeout=30,
            trust_env=False,
            headers={"Authorization": "Bearer s3cr3t-t0ken", "Content-Type": "application/json"},
        )

        async def put(serial: str, body: bytes) -> None:
            answer = await client.put(ROUTE.format(serial), content=body)
            answer.raise_for_status()
            answer.json()

        return [put] * CONCURRENCY

    return asyncio.run(_sent(connected, bodies()[::10]))


async def _sent(connected: Callable[[], Awaitable[list[Put]]], requests: Sequence[tuple[str, bytes]]) -> Cost:
    queue = iter(requests)

    async def lane(put: Put) -> None:
        for serial, body in queue:
            await put(serial, body)

    with counted() as costs:
        await asyncio.gather(*map(lane, await connected()))
    return costs[0]


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
