"""Each fault in detail: what it does to the connection, the time, the headers and the body of an answer."""

import gzip
import json
import socket
import time
from email.utils import parsedate_to_datetime

import httpx
import pytest
from conftest import Caller, struck

from reconciler.sandbox.server import Sandbox, running


def test_a_cut_connection_ends_without_one_byte_of_an_answer_or_a_complaint(caplog: pytest.LogCaptureFixture) -> None:
    with running(seed=["AP-1"], faults=["drop-after-commit"]) as sandbox, raw(sandbox) as wire:
        answer = wire.recv(100)

    assert answer == b""
    assert struck(sandbox) == [("drop-after-commit",)]
    assert caplog.messages == []


def test_a_reused_connection_is_reset_and_the_first_use_of_one_is_not(sandbox: Sandbox) -> None:
    sandbox.seed("AP-1")
    sandbox.faults("reset-on-reuse")

    with raw(sandbox) as wire:
        answer = wire.recv(10_000)
        while not answer.endswith(b"}"):
            answer += wire.recv(10_000)
        wire.sendall(request(sandbox))
        with pytest.raises(ConnectionResetError):
            wire.recv(100)

    assert answer.startswith(b"HTTP/1.1 200")
    assert [(put.faults, put.committed) for put in sandbox.requests()] == [((), True), (("reset-on-reuse",), False)]


def test_a_connection_is_closed_after_a_whole_answer_that_did_not_announce_it(sandbox: Sandbox) -> None:
    sandbox.seed("AP-1")
    sandbox.faults("close")

    with raw(sandbox) as wire, wire.makefile("rb") as stream:
        head, _, body = stream.read().partition(b"\r\n\r\n")

    assert b"connection: close" not in head.lower()
    assert json.loads(body) == sandbox.device("AP-1")
    assert struck(sandbox) == [("close",)]


@pytest.mark.parametrize("fault", ["latency=60ms", "latency-after-commit=60ms", "slow-accept=60ms"])
def test_a_late_answer_takes_its_time(sandbox: Sandbox, fault: str) -> None:
    sandbox.seed("AP-1")
    sandbox.faults(fault)
    with httpx.Client(trust_env=False) as client:
        began = time.monotonic()
        Caller(client, sandbox).put("AP-1", name="x")
        seconds = time.monotonic() - began

    assert seconds >= 0.06
    assert struck(sandbox) == [(fault.partition("=")[0],)]


def test_a_request_that_is_held_up_is_forgotten_with_all_others() -> None:
    with running(seed=["AP-1"], faults=["latency-after-commit=2s"]) as sandbox, raw(sandbox) as wire:
        while sandbox.device("AP-1")["name"] != "x":
            time.sleep(0.01)
        sandbox.clear()
        answer = wire.recv(100)

        assert b"200" not in answer
        assert sandbox.requests() == ()


@pytest.mark.parametrize(("fault", "held"), [("latency=60s", ""), ("latency-after-commit=60s", "x")])
def test_a_device_changes_before_or_after_the_wait_which_does_not_hold_a_sandbox_that_stops(
    client: httpx.Client, caplog: pytest.LogCaptureFixture, fault: str, held: str
) -> None:
    with running(seed=["AP-1", "AP-2"], faults=[f"{fault}:serial=AP-1"]) as sandbox:
        wire = raw(sandbox)
        assert Caller(client, sandbox).put("AP-2", name="later").status_code == 200

        assert sandbox.device("AP-1")["name"] == held
        assert [put.serial for put in sandbox.requests()] == ["AP-2"]
        began = time.monotonic()
    assert time.monotonic() - began < 30
    with wire:
        assert wire.recv(100) == b""
    assert caplog.messages == []


def test_only_a_new_connection_waits_to_be_accepted(sandbox: Sandbox) -> None:
    sandbox.seed("AP-1")
    sandbox.faults("slow-accept=10ms")
    with httpx.Client(trust_env=False) as client:
        for name in ("one", "two"):
            Caller(client, sandbox).put("AP-1", name=name)

    assert struck(sandbox) == [("slow-accept",), ()]


def test_retry_after_comes_in_each_form(fresh: Caller, sandbox: Sandbox) -> None:
    headers = {}
    before = time.time()
    for form in ("7s", "date(7s)", "missing", "nonsense"):
        sandbox.faults(f"throttle={form}")
        headers[form] = fresh.put("AP-1", name="x").headers.get("retry-after")

    moment = parsedate_to_datetime(headers["date(7s)"]).timestamp()
    assert before + 7 <= moment <= time.time() + 8
    assert headers == {**headers, "7s": "7", "missing": None, "nonsense": "when the moon is full"}


def test_a_dripping_body_is_whole_in_the_end(fresh: Caller, sandbox: Sandbox) -> None:
    sandbox.faults("drip=1ms")

    began = time.monotonic()
    answer = fresh.put("AP-1", name="x")

    assert answer.json() == sandbox.device("AP-1")
    assert time.monotonic() - began >= 0.001 * len(answer.content)


def test_a_client_that_leaves_a_dripping_answer_does_not_hold_the_sandbox(caplog: pytest.LogCaptureFixture) -> None:
    with running(seed=["AP-1"], faults=["drip=1s"]) as sandbox, httpx.Client(trust_env=False) as client:
        caller = Caller(client, sandbox)
        url = f"{sandbox.base_url}/inventory_device_serial_operation/AP-1/"
        with client.stream("PUT", url, headers=caller.headers, json={"name": "x"}) as answer:
            assert next(answer.iter_raw()).startswith(b"{")
        assert struck(sandbox) == [("drip",)]
        began = time.monotonic()

    assert time.monotonic() - began < 30
    assert caplog.messages == []


def test_an_oversized_body_is_the_right_echo_and_too_long(fresh: Caller, sandbox: Sandbox) -> None:
    sandbox.faults("oversized=64KiB")

    answer = fresh.put("AP-1", name="x")

    assert len(answer.content) == 64 << 10
    assert answer.json() == sandbox.device("AP-1")


def test_a_gzip_bomb_is_small_on_the_wire_and_large_unpacked(fresh: Caller, sandbox: Sandbox) -> None:
    sandbox.faults("gzip-bomb")
    url = f"{sandbox.base_url}/inventory_device_serial_operation/AP-1/"

    with httpx.stream("PUT", url, headers=fresh.headers, json={"name": "x"}, trust_env=False) as answer:
        sent = b"".join(answer.iter_raw())

    assert answer.headers["content-encoding"] == "gzip"
    assert len(sent) < 64 << 10
    unpacked = gzip.decompress(sent)
    assert len(unpacked) == 16 << 20
    assert json.loads(unpacked) == sandbox.device("AP-1")


def test_the_wrong_serial_is_another_one_and_all_else_is_right(fresh: Caller, sandbox: Sandbox) -> None:
    sandbox.faults("wrong-serial")

    assert fresh.put("AP-1", name="x").json() == {**sandbox.device("AP-1"), "serial_number": "AP-1-2"}


@pytest.mark.parametrize(
    ("fault", "gone"), [("missing-field", "location"), ("missing-field=name", "name"), ("missing-field=model", "model")]
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_missing_field_is_missing_from_the_echo_only(
    fresh: Caller, sandbox: Sandbox, fault: str, gone: str, *, wrapped: bool
) -> None:
    sandbox.faults(fault)
    patch = {"name": "x", "location": "y"}

    answer = fresh.put("AP-1", **({"data": json.dumps(patch)} if wrapped else patch))

    held = dict(sandbox.device("AP-1"))
    assert (held["name"], held["location"]) == ("x", "y")
    del held[gone]
    assert answer.json() == held


@pytest.mark.parametrize(("rule", "held"), [("upper", " ROOF "), ("lower", " roof "), ("trimmed", "Roof")])
@pytest.mark.parametrize("wrapped", [False, True])
def test_the_server_holds_and_echoes_the_normalised_value(
    fresh: Caller, sandbox: Sandbox, rule: str, held: str, *, wrapped: bool
) -> None:
    sandbox.faults(f"normalised={rule}")
    patch = {"location": " Roof ", "status": "active"}

    answer = fresh.put("AP-1", **({"data": json.dumps(patch)} if wrapped else patch))

    assert (answer.json()["location"], answer.json()["status"]) == (held, "active")
    assert sandbox.device("AP-1") == answer.json()
    assert struck(sandbox) == [("normalised",)]


def test_a_redirect_that_is_followed_shows_in_the_log(sandbox: Sandbox) -> None:
    sandbox.seed("AP-1")
    sandbox.faults("redirect=308")
    with httpx.Client(trust_env=False, follow_redirects=True) as client:
        Caller(client, sandbox).put("AP-1", name="x")

    assert [(put.path, put.status) for put in sandbox.requests("PUT")] == [
        ("/api/v1/inventory_device_serial_operation/AP-1/", 308),
        ("/api/v1/redirected/", 404),
    ]


def request(sandbox: Sandbox) -> bytes:
    return (
        f"PUT /api/v1/inventory_device_serial_operation/AP-1/ HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n"
        f"Authorization: Bearer {sandbox.token}\r\n\r\n"
    ).encode() + b'{"name":"x"}'


def raw(sandbox: Sandbox) -> socket.socket:
    """A socket that has sent one request."""
    url = httpx.URL(sandbox.base_url)
    wire = socket.create_connection((url.host, url.port or 0), timeout=5)
    wire.sendall(request(sandbox))
    return wire
