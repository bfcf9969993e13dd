"""Every fault over a real socket: what the server committed, a client sees and the log says; and who is struck."""

import httpx
import pytest
from conftest import Caller, struck

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


def seen(caller: Caller, serial: str = "AP-1") -> int | str:
    try:
        answer: httpx.Response = caller.put(serial, name="new")
    except httpx.TransportError:
        return CUT
    return answer.status_code


@pytest.mark.parametrize(("fault", "sees", "committed"), EACH)
def test_a_fault_strikes_and_the_log_says_so_and_whether_the_device_was_changed(
    fresh: Caller, sandbox: Sandbox, fault: str, sees: int | str, *, committed: bool
) -> None:
    sandbox.faults(fault)

    with httpx.Client(trust_env=False) as another:
        answer = seen(Caller(another, sandbox) if fault.startswith("slow-accept") else fresh)

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
