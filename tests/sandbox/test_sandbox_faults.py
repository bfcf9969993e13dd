"""Every fault over a real socket: what the server committed, what a client sees, and what the log says."""

import gzip
import json
import socket
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import httpx
import pytest
from conftest import Caller

from reconciler.errors import Usage
from reconciler.sandbox.kinds import KINDS
from reconciler.sandbox.server import Sandbox, running

CUT = "connection cut"
EACH = [
    # fault, what the client sees, whether the device was changed
    ("latency=1ms", 200, True),
    ("latency-after-commit=1ms", 200, True),
    ("drop-before-commit", CUT, False),
    ("drop-after-commit", CUT, True),
    ("error-before-commit", 503, False),
    ("error-before-commit=404", 404, False),
    ("error-after-commit", 503, True),
    ("error-after-commit=500", 500, True),
    ("throttle=7s", 429, False),
    ("throttle=date(7s)", 429, False),
    ("throttle=missing", 429, False),
    ("throttle=nonsense", 429, False),
    ("accepted-before-commit", 202, False),
    ("accepted-after-commit", 202, True),
    ("no-content", 204, True),
    ("html-before-commit", 200, False),
    ("html-after-commit", 200, True),
    ("redirect", 307, False),
    ("redirect=301", 301, False),
    ("wrong-serial", 200, True),
    ("missing-field", 200, True),
    ("missing-field=tags", 200, True),
    ("normalised=upper", 200, True),
    ("drip=1ms", 200, True),
    ("oversized", 200, True),
    ("gzip-bomb=2MiB", 200, True),
    ("close", 200, True),
    ("reset-on-reuse", CUT, False),
    ("slow-accept=1ms", 200, True),
]


@pytest.fixture
def fresh(sandbox: Sandbox) -> Iterator[Caller]:
    """Calls the sandbox, which knows AP-1, over a connection that carried one answer."""
    sandbox.seed("AP-1")
    with httpx.Client(trust_env=False) as client:
        caller = Caller(client, sandbox)
        assert caller.ask("GET", "/_sandbox/faults").json() == []
        yield caller


def seen(caller: Caller, serial: str = "AP-1") -> int | str:
    try:
        answer: httpx.Response = caller.put(serial, name="new")
    except httpx.TransportError:
        return CUT
    return answer.status_code


def struck(sandbox: Sandbox) -> list[tuple[str, ...]]:
    return [put.faults for put in sandbox.requests("PUT")]


@pytest.mark.parametrize(("fault", "sees", "committed"), EACH)
def test_a_fault_strikes_and_the_log_says_so_and_whether_the_device_was_changed(
    fresh: Caller, sandbox: Sandbox, fault: str, sees: int | str, *, committed: bool
) -> None:
    if fault.startswith("slow-accept"):
        sandbox.faults("close")
        fresh.put("AP-1")
        sandbox.forget_requests()
    sandbox.faults(fault)

    answer = seen(fresh)

    [put] = sandbox.requests("PUT")
    assert answer == sees
    assert sandbox.device("AP-1")["name"].casefold() == ("new" if committed else "")  # type: ignore[union-attr] # a name is text
    assert put.faults == (fault.partition("=")[0],)
    assert put.committed == committed
    assert put.status == (None if sees == CUT else sees)
    assert put.body == {"name": "new"}
    assert f"({put.faults[0]}; {'committed' if committed else 'not committed'})" in str(put)


def test_no_fault_is_left_out_of_these_tests() -> None:
    assert {fault.partition("=")[0] for fault, _, _ in EACH} == set(KINDS)


def test_without_faults_nothing_strikes_and_the_log_tells_what_was_committed(fresh: Caller, sandbox: Sandbox) -> None:
    fresh.put("AP-1", name="x")
    fresh.put("AP-1", name="")
    fresh.ask("GET", "/api/v1/inventory_device_serial_operation/AP-1/")

    assert [(one.status, one.faults, one.committed) for one in sandbox.requests()] == [
        (200, (), True),
        (422, (), False),
        (200, (), False),
    ]


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
    assert time.monotonic() - began < 1
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
    with running(seed=["AP-1"], faults=["drip=10ms"]) as sandbox, httpx.Client(trust_env=False) as client:
        caller = Caller(client, sandbox)
        url = f"{sandbox.base_url}/inventory_device_serial_operation/AP-1/"
        with client.stream("PUT", url, headers=caller.headers, json={"name": "x"}) as answer:
            assert next(answer.iter_raw()).startswith(b"{")
        assert struck(sandbox) == [("drip",)]
        began = time.monotonic()

    assert time.monotonic() - began < 1
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


@pytest.mark.parametrize(
    "fault",
    ["drop-after-commit", "error-after-commit", "html-after-commit", "no-content", "wrong-serial", "oversized"],
)
def test_what_strikes_after_the_commit_leaves_a_refused_request_alone(
    fresh: Caller, sandbox: Sandbox, fault: str
) -> None:
    sandbox.faults(fault + ":x1")

    refused = fresh.put("AP-1", status="quarantined")

    seen(fresh)
    seen(fresh)
    assert refused.status_code == 422
    assert struck(sandbox) == [(), (fault,), ()]


def test_a_request_that_is_refused_late_is_struck_and_not_committed(fresh: Caller, sandbox: Sandbox) -> None:
    sandbox.faults("latency=1ms")

    assert fresh.put("AP-1", name="").status_code == 422
    assert [(put.status, put.faults, put.committed) for put in sandbox.requests()] == [(422, ("latency",), False)]


def test_faults_meet_in_the_order_given_and_those_behind_a_drop_do_not_strike(fresh: Caller, sandbox: Sandbox) -> None:
    sandbox.faults("latency=1ms", "drop-before-commit", "normalised=upper")

    assert seen(fresh) == CUT
    assert struck(sandbox) == [("latency", "drop-before-commit")]


def test_only_puts_of_devices_are_struck(fresh: Caller, sandbox: Sandbox) -> None:
    sandbox.faults("drop-before-commit")

    answers = [
        fresh.ask("GET", "/api/v1/inventory_device_serial_operation/AP-1/"),
        fresh.ask("GET", "/api/v1/inventory_device_serial_operation/"),
        fresh.ask("PUT", "/api/v1/elsewhere/"),
        fresh.ask("GET", "/_sandbox/requests"),
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 404, 200]


def test_faults_are_set_and_ended_through_the_control_endpoint(fresh: Caller, sandbox: Sandbox) -> None:
    put = fresh.ask("PUT", "/_sandbox/faults", json=["error-before-commit=500:x1", "close:50%"])
    struck_once = [seen(fresh), seen(fresh)]
    ended = fresh.ask("DELETE", "/_sandbox/faults")

    assert (put.status_code, put.json()) == (200, ["error-before-commit=500:x1", "close:50%"])
    assert struck_once == [500, 200]
    assert (ended.status_code, ended.json()) == (200, [])
    assert [one.path for one in sandbox.requests() if one.path.startswith("/_sandbox")] == []


@pytest.mark.parametrize("body", [b"{}", b'["close", 1]', b"[", b'"close"', b'["close", "clsoe"]', b""])
def test_a_wrong_list_of_faults_is_400_and_changes_nothing(fresh: Caller, sandbox: Sandbox, body: bytes) -> None:
    sandbox.faults("close")

    answer = fresh.ask("PUT", "/_sandbox/faults", content=body)

    assert answer.status_code == 400
    assert answer.json().keys() == {"detail"}
    assert fresh.ask("GET", "/_sandbox/faults").json() == ["close"]


def test_the_control_endpoint_needs_the_token(fresh: Caller) -> None:
    fresh.headers = {}

    answers = [fresh.ask(method, "/_sandbox/faults", content=b'["close"]') for method in ("GET", "PUT", "DELETE")]

    assert [answer.status_code for answer in answers] == [401] * 3


def test_a_fault_that_makes_no_sense_is_refused_before_anything_runs(sandbox: Sandbox) -> None:
    with pytest.raises(Usage, match="unknown kind"), running(faults=["clsoe"]):
        pass
    with pytest.raises(Usage, match="unknown kind"):
        sandbox.faults("clsoe")


def test_clearing_a_sandbox_ends_its_faults(fresh: Caller, sandbox: Sandbox) -> None:
    sandbox.faults("drop-before-commit")

    sandbox.clear()
    sandbox.seed("AP-1")

    assert seen(fresh) == 200


def test_a_share_strikes_the_same_requests_whatever_the_order(fresh: Caller, sandbox: Sandbox) -> None:
    serials = [f"AP-{number}" for number in range(40)]
    sandbox.seed(*serials)

    runs = []
    for order in (serials, serials[::-1]):
        sandbox.forget_requests()
        sandbox.faults("error-after-commit:30%,seed=7")
        for serial in order:
            seen(fresh, serial)
        runs.append({put.serial for put in sandbox.requests("PUT") if put.faults})

    assert runs[0] == runs[1]
    assert 4 < len(runs[0]) < 20


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
