"""A device API that costs next to nothing: it answers a PUT with what was sent and the serial number of the path.

`python echo_server.py SECONDS` prints its port; each answer comes so many seconds after its request.
"""

import asyncio
import sys
from functools import partial
from typing import cast


class Echo(asyncio.Protocol):
    """One connection. It understands just what our clients send: a Content-Length, and no second request at once."""

    def __init__(self, latency: float) -> None:
        self._latency = latency
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers are written to."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer once the request is whole."""
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank:
            return
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if len(body) < int(length):
            return
        self._received = b""
        serial = head.partition(b" HTTP/1.1")[0].rstrip(b"/").rpartition(b"/")[2]
        echo = b'{"serial_number":"%b",%b' % (serial, body[1:])
        answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
            len(echo),
            echo,
        )
        if self._latency:
            asyncio.get_running_loop().call_later(self._latency, self._transport.write, answer)
        else:
            self._transport.write(answer)


async def main(latency: float) -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(partial(Echo, latency), "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
