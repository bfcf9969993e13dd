"""A sandbox in a test: its log, its database, its end."""

import socket
import time
from pathlib import Path

import httpx
import pytest
from conftest import Caller

from reconciler.sandbox.server import Sandbox, running


def test_every_request_can_be_counted_and_seen_without_its_token(caller: Caller, sandbox: Sandbox) -> None:
    caller.put("AP-1", name="one")
    caller.put("AP-9", name="two")
    caller.put_raw("AP-1", b"{")
    caller.ask("GET", "/api/v1/elsewhere")

    seen = sandbox.requests()
    served = caller.ask("GET", "/_sandbox/requests")

    assert [(one.method, one.serial, one.status, one.body) for one in seen] == [
        ("PUT", "AP-1", 200, {"name": "one"}),
        ("PUT", "AP-9", 404, None),
        ("PUT", "AP-1", 400, "{"),
        ("GET", "", 404, None),
    ]
    assert [one["path"] for one in served.json()] == [one.path for one in seen]
    assert sandbox.token not in served.text + repr(seen)
    assert [str(one) for one in sandbox.requests("PUT")] == [
        'PUT AP-1 200 {"name": "one"}',
        "PUT AP-9 404",
        'PUT AP-1 400 "{"',
    ]


def test_the_request_log_can_be_emptied(caller: Caller, sandbox: Sandbox) -> None:
    caller.put("AP-1", name="one")

    answer = caller.ask("DELETE", "/_sandbox/requests")

    assert answer.status_code == 204
    assert sandbox.requests() == ()


def test_a_log_line_stays_one_harmless_line_whatever_was_sent(caller: Caller, sandbox: Sandbox) -> None:
    caller.put("AP%0A1%1B[2J", name="x")
    caller.put("AP-1", name="\u001b[2J\n\u202e\u0085é")

    lines = [str(one) for one in sandbox.requests()]

    assert lines[0] == "PUT AP%0A1%1B%5B2J 404"
    assert lines[1] == r'PUT AP-1 200 {"name": "\u001b[2J\n\u202e\u0085\u00e9"}'


def test_devices_outlive_the_sandbox_in_a_database(client: httpx.Client, tmp_path: Path) -> None:
    file = tmp_path / "devices.db"
    with running(seed=["AP-1"], database=file) as sandbox:
        left = Caller(client, sandbox).put("AP-1", name="kept").json()

    with running(seed=["AP-0", "AP-1"], database=file) as sandbox:
        found = sandbox.device("AP-1")

        assert found == left
        assert sandbox.device("AP-0")["id"] != found["id"]


def test_a_sandbox_is_emptied_of_devices_and_requests(caller: Caller, sandbox: Sandbox) -> None:
    caller.put("AP-1", name="one")

    sandbox.clear()

    assert (sandbox.devices(), sandbox.requests()) == ([], ())
    with pytest.raises(KeyError):
        sandbox.device("AP-1")


def test_a_port_that_is_taken_is_an_error_and_leaves_the_first_sandbox_alone(caller: Caller, sandbox: Sandbox) -> None:
    port = httpx.URL(sandbox.base_url).port

    with pytest.raises(OSError, match="in use"), running(port=port or 0):
        pass

    assert caller.put("AP-1", name="still here").status_code == 200


def test_a_sandbox_stops_at_once_although_a_client_keeps_its_connection_open(caplog: pytest.LogCaptureFixture) -> None:
    with httpx.Client(trust_env=False) as client:
        with running(seed=["AP-1"]) as sandbox:
            assert Caller(client, sandbox).put("AP-1", name="x").status_code == 200
            began = time.monotonic()

        assert time.monotonic() - began < 30
        assert caplog.messages == []
        with pytest.raises(httpx.ConnectError):
            Caller(client, sandbox).put("AP-1", name="x")


def test_a_client_that_never_ends_its_request_does_not_hold_the_sandbox() -> None:
    with running(seed=["AP-1"]) as sandbox:
        url = httpx.URL(sandbox.base_url)
        client = socket.create_connection((url.host, url.port or 0))
        client.sendall(
            b"PUT /api/v1/inventory_device_serial_operation/AP-1/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
            b"Authorization: Bearer " + sandbox.token.encode() + b"\r\nExpect: 100-continue\r\n\r\n"
        )
        assert client.recv(100).startswith(b"HTTP/1.1 100"), "the sandbox is waiting for the body now"
        began = time.monotonic()

    client.close()
    assert time.monotonic() - began < 30
    assert sandbox.requests() == ()
