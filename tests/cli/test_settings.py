"""Every setting at work: what is in reconciler.toml is what goes over the wire, and into the state."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from conftest import Declare, Run
from recorder import Asked, Told, echo, recording

from reconciler.inventory.schema import packaged_schema
from reconciler.state.sqlite import SqliteBackend

Configure = Callable[..., None]


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """`configure("attempts = 1")` writes `[api]`; quick unless told otherwise."""

    def write(*api: str, top: str = "") -> None:
        text = "\n".join([top, "[api]", "rate_per_second = 1000", "burst = 100", *api])
        (tmp_path / "reconciler.toml").write_text(text + "\n")

    return write


def in_turn(*answers: Told) -> Callable[[Asked], Told]:
    """These answers first, then those of a device API."""
    left = list(answers)
    return lambda asked: left.pop(0) if left else echo(asked)


def bodies(asked: Sequence[Asked]) -> list[object]:
    return [request.body for request in asked]


def test_route_scheme_and_body_make_the_request(configure: Configure, declare: Declare, run: Run) -> None:
    configure('route = "PATCH /v2/devices/{serial_number}"', 'auth_scheme = "Token"', 'body = "data-string"')
    declare("a.yaml", serial_number="AP-1", status="active")
    with recording() as server:
        ran = run("apply", "--auto-approve", environ=server.environ)

    assert ran.code == 0, ran.stderr
    [asked] = server.asked
    assert (asked.method, asked.path) == ("PATCH", "/api/v1/v2/devices/AP-1")
    assert asked.headers["authorization"] == "Token s3cr3t-t0ken"
    assert asked.body == {"data": '{"status":"active"}'}


@pytest.mark.parametrize(
    ("nested", "second"),
    [
        ('nested = "replace"', {"configuration": {"a": 1, "b": 3}, "custom_fields": {"x": 1, "y": 3}}),
        ('nested = "merge"', {"configuration": {"b": 3}, "custom_fields": {"y": 3}}),
        ('nested = {configuration = "merge"}', {"configuration": {"b": 3}, "custom_fields": {"x": 1, "y": 3}}),
    ],
)
def test_nested_says_how_much_of_an_object_is_sent(
    nested: str, second: object, configure: Configure, declare: Declare, run: Run
) -> None:
    held: dict[str, dict[str, int]] = {"configuration": {}, "custom_fields": {}}

    def merging(asked: Asked) -> Told:
        for name, value in asked.body.items():
            held[name] |= value
        return Told(body=json.dumps({"serial_number": "AP-1", **held}).encode())

    configure(nested)
    declare("a.yaml", serial_number="AP-1", configuration={"a": 1, "b": 2}, custom_fields={"x": 1, "y": 2})
    with recording(merging) as server:
        assert run("apply", "--auto-approve", environ=server.environ).code == 0
        declare("a.yaml", serial_number="AP-1", configuration={"a": 1, "b": 3}, custom_fields={"x": 1, "y": 3})
        assert run("apply", "--auto-approve", environ=server.environ).code == 0

    assert bodies(server.asked)[1] == second


@pytest.mark.parametrize(("unique", "code"), [(True, 0), (False, 3)])
def test_a_list_that_the_schema_calls_a_set_may_come_back_in_another_order(
    *,
    unique: bool,
    code: int,
    configure: Configure,
    declare: Declare,
    run: Run,
    tmp_path: Path,
) -> None:
    configure()
    schema = packaged_schema("device")
    schema["properties"]["tags"]["uniqueItems"] = unique
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "device.schema.json").write_text(json.dumps(schema))
    declare("a.yaml", serial_number="AP-1", tags=["b", "a"])
    with recording(in_turn(Told(body=b'{"serial_number": "AP-1", "tags": ["a", "b"]}'))) as server:
        ran = run("apply", "--auto-approve", environ=server.environ)

    assert (ran.code, len(server.asked)) == (code, 1)


def test_lineage_names_the_only_state_that_is_applied_to(
    configure: Configure, declare: Declare, run: Run, tmp_path: Path
) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")
    with recording() as server:
        configure(top='lineage = "another"')
        for command in (["plan"], ["apply", "--auto-approve"]):
            missing = run(*command, environ=server.environ)
            assert (missing.code, "there is no state at sqlite:" in missing.stderr) == (1, True)
        assert not (tmp_path / ".reconciler").exists()
        configure()
        assert run("plan", "--out", "p.json").code == 0
        assert run("apply", "p.json", environ=server.environ).code == 0
        assert len(server.asked) == 1
        declare("a.yaml", serial_number="AP-1", status="inactive")
        configure(top='lineage = "another"')
        for command in (["plan"], ["apply", "--auto-approve"], ["apply", "p.json"]):
            other = run(*command, environ=server.environ)
            assert (other.code, "but the settings say another" in other.stderr) == (1, True)
        assert len(server.asked) == 1
        lineage = SqliteBackend(tmp_path / ".reconciler" / "state.db").read().lineage
        configure(top=f'lineage = "{lineage}"')
        assert run("apply", "--auto-approve", environ=server.environ).code == 0

    assert bodies(server.asked)[1:] == [{"status": "inactive"}]


@pytest.mark.parametrize(
    ("setting", "answer", "reason"),
    [
        ("max_answer_bytes = 2000", Told(body=b" " * 2001), "is longer than 2,000 bytes"),
        ("timeout = 0.3", Told(after=2), "no complete answer within 0.3 s"),
    ],
)
def test_an_answer_beyond_what_is_allowed_is_no_answer(  # noqa: PLR0917 - pytest passes them all by name
    setting: str, answer: Told, reason: str, configure: Configure, declare: Declare, run: Run
) -> None:
    configure("attempts = 1", setting)
    declare("a.yaml", serial_number="AP-1", status="active")
    with recording(in_turn(answer)) as server:
        ran = run("apply", "--auto-approve", environ=server.environ)

    assert (ran.code, len(server.asked)) == (3, 1)
    assert reason in ran.stdout


def test_a_longer_retry_after_is_cut_and_the_wait_is_told_without_verbose(
    configure: Configure, declare: Declare, run: Run
) -> None:
    configure("retry_after_max = 5")
    declare("a.yaml", serial_number="AP-1", status="active")
    with recording(in_turn(Told(429, headers={"Retry-After": "86400"}))) as server:
        ran = run("apply", "--auto-approve", environ=server.environ)

    assert ran.code == 0
    told = [line for line in ran.stderr.splitlines() if "Retry-After" in line]
    assert told == ["the server asks for a pause (Retry-After): waiting 5 s"]
    first, second = server.asked
    assert 5 <= second.at - first.at < 60


def test_linger_and_timeout_are_how_long_other_values_wait_for_an_unanswered_request(
    configure: Configure, declare: Declare, run: Run
) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")
    with recording(in_turn(Told(0))) as server:
        configure("attempts = 1", "timeout = 1", "linger = 14")
        assert run("apply", "--auto-approve", environ=server.environ).code == 3
        declare("a.yaml", serial_number="AP-1", status="inactive")
        ran = run("apply", "--auto-approve", environ=server.environ)

    assert ran.code == 0
    told = re.search(r"(?m)^an unanswered request with other values may still arrive: waiting (\d+) s$", ran.stderr)
    assert told
    assert 1 <= int(told[1]) <= 15
    first, second = server.asked
    assert second.at - first.at >= 15


@pytest.mark.parametrize(
    ("first", "codes"),
    [(Told(502), [0]), (Told(0), [3, 0])],
    ids=["two attempts of one run", "two runs of one attempt"],
)
def test_other_values_wait_for_an_unanswered_request_though_a_later_one_with_its_values_was_answered(
    configure: Configure, declare: Declare, run: Run, first: Told, codes: list[int]
) -> None:
    configure(f"attempts = {2 // len(codes)}", "backoff_ceiling = 0.01", "timeout = 1", "linger = 6")
    declare("a.yaml", serial_number="AP-1", status="active")
    with recording(in_turn(first)) as server:
        assert [run("apply", "--auto-approve", environ=server.environ).code for _ in codes] == codes
        declare("a.yaml", serial_number="AP-1", status="inactive")
        assert run("apply", "--auto-approve", environ=server.environ).code == 0

    _, again, other = server.asked
    assert other.at - again.at >= 7


def test_attempts_and_back_off_say_how_often_and_how_fast_it_is_tried_again(
    configure: Configure, declare: Declare, run: Run
) -> None:
    configure("attempts = 9", "backoff_base = 100", "backoff_ceiling = 0.001")
    declare("a.yaml", serial_number="AP-1", status="active")
    with recording(in_turn(*[Told(503)] * 8)) as server:
        ran = run("apply", "--auto-approve", environ=server.environ)

    assert (ran.code, len(server.asked)) == (0, 9)
    assert server.asked[-1].at - server.asked[0].at < 60
