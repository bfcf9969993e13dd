"""Guards as operators meet them: in every plan, again at apply, raised by name only."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema_rs
import pytest
from conftest import Declare, Run

from reconciler import reconcile
from reconciler.config import Settings, load
from reconciler.errors import Refused
from reconciler.inventory.schema import packaged_schema
from reconciler.plan.guard import RULES
from reconciler.sandbox.server import Sandbox

API = "[api]\nrate_per_second = 1000\nburst = 100\n"
FREEZE = API + '[[guard.freeze]]\ntimezone = "Europe/Paris"\nreason = "stock-taking"\n'


def other_day() -> str:
    """Neither today nor tomorrow, wherever the clock stands when the commands run."""
    return (datetime.now(UTC) + timedelta(days=3)).strftime("%a").lower()


def test_every_plan_says_what_every_guard_found(declare: Declare, run: Run, tmp_path: Path) -> None:
    (tmp_path / "reconciler.toml").write_text(
        f'[guard]\nprotected = ["status"]\nmax_adopted = 5\n[[guard.freeze]]\ndays = ["{other_day()}"]\n'
    )
    declare("a.yaml", serial_number="AP-1", status="active")
    text, markdown = run("plan"), run("plan", "--format", "markdown")
    document = json.loads(run("plan", "--format", "json", "--out", "p.json").stdout)

    guards = text.stdout[text.stdout.index("Guards: ") :].replace("\n ", " ·")
    assert guards.rstrip() == (
        "Guards: 0 changed (limit 30 %) · 0 released (limit 5 %) · 1 adopted (limit 5)"
        " · fan-out 0 (no limit) · protected and untouched: status · outside every freeze window"
    )
    jsonschema_rs.validator_for(packaged_schema("plan")).validate(document)
    assert [check["rule"] for check in document["guards"]] == list(RULES)
    assert all(check["passed"] for check in document["guards"])
    assert "<summary>Guards: all 12 pass</summary>" in markdown.stdout
    assert all(f"+ {rule} " in markdown.stdout for rule in RULES)
    assert run("show", "p.json").stdout == text.stdout


def test_a_refused_plan_shows_the_rule_the_reason_and_the_way_out_in_every_form(
    declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "reconciler.toml").write_text(API)
    sandbox.seed("AP-1")
    declare("a.yaml", serial_number="AP-1", status="active")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    (tmp_path / "reconciler.toml").write_text(API + "[guard]\nmax_changed = 0\n")
    declare("a.yaml", serial_number="AP-1", status="inactive")
    text, markdown = run("plan").stdout, run("plan", "--format", "markdown").stdout
    document = json.loads(run("plan", "--format", "json").stdout)

    assert "refused by max_changed: the plan would update 1 device; the limit is 0\n" in text
    assert "\nGuards: refused by max_changed · " in text
    assert "**Refused by a guard (max_changed): apply will not run.**" in markdown
    assert "<details open><summary>Guards: 1 of 12 refuse</summary>" in markdown
    assert "\n- max_changed " in markdown
    [refusal] = [check for check in document["guards"] if not check["passed"]]
    assert (refusal["rule"], refusal["measured"], refusal["limit"]) == ("max_changed", 1, 0)
    assert refusal["override"].endswith("or: --allow max_changed")
    assert document["refusals"] == [{key: refusal[key] for key in ("rule", "message", "override")}]


def test_a_line_that_reaches_too_far_is_refused_when_it_is_planned_and_when_it_is_applied(
    declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    def on_one_line(status: str) -> None:
        devices = [{"serial_number": serial, "status": status} for serial in ("AP-1", "AP-2", "AP-3")]
        declare("fleet.yaml", json.dumps({"devices": devices}))

    (tmp_path / "reconciler.toml").write_text(API + "[guard]\nmax_fan_out = 2\n")
    sandbox.seed("AP-1", "AP-2", "AP-3")
    on_one_line("active")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0, "an adoption is no change"
    on_one_line("inactive")
    sandbox.forget_requests()
    said = "refused by max_fan_out: inventory/fleet.yaml:1 changes 3 devices; the limit for one line is 2\n"

    assert said in run("plan", "--out", "p.json").stdout
    saved = run("apply", "p.json", environ=sandbox.environ)
    assert (saved.code, said in saved.stderr) == (6, True)
    assert sandbox.requests("PUT") == ()
    assert run("apply", "p.json", "--allow", "max_fan_out", environ=sandbox.environ).code == 0


def test_a_default_that_reaches_too_far_is_named_by_its_own_line(
    declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "reconciler.toml").write_text(API + "[guard]\nmax_fan_out = 1\n")
    sandbox.seed("AP-1", "AP-2")
    for serial in ("AP-1", "AP-2"):
        declare(f"{serial}.yaml", serial_number=serial, name=serial)
    declare("_defaults.yaml", "# for all\nstatus: active\n")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    declare("_defaults.yaml", "# for all\nstatus: inactive\n")

    plan = run("plan").stdout
    assert "refused by max_fan_out: inventory/_defaults.yaml:2 changes 2 devices; the limit for one line is 1\n" in plan


def test_a_freeze_is_lifted_by_name_and_the_journal_says_so(
    declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "reconciler.toml").write_text(FREEZE)
    sandbox.seed("AP-1")
    declare("a.yaml", serial_number="AP-1", status="active")
    refused = run("apply", "--auto-approve", environ=sandbox.environ)
    run("plan", "--out", "p.json")
    saved = run("apply", "p.json", environ=sandbox.environ)

    for ran in (refused, saved):
        assert ran.code == 6
        assert "refused by freeze: nothing is to be applied now, in the freeze window every day" in ran.stderr
        assert "Europe/Paris: stock-taking" in ran.stderr
    assert refused.stdout.count("refused by") == 1, "explained once, on stderr; the section only names the rule"
    assert sandbox.requests("PUT") == ()
    assert run("apply", "p.json", "--allow", "freeze", environ=sandbox.environ).code == 0
    [began] = [
        entry
        for entry in map(json.loads, run("audit", "log", "--format", "json").stdout.splitlines())
        if entry["kind"] == "run"
    ]
    assert began["data"]["allowed"] == ["freeze"]
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0, "nothing to do is not refused"


@pytest.mark.parametrize("name", ["ALLOW", "APPLY_ALLOW", "GUARD_FREEZE", "GUARD", "FREEZE"])
def test_no_variable_lifts_a_guard(name: str, declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "reconciler.toml").write_text(FREEZE)
    sandbox.seed("AP-1")
    declare("a.yaml", serial_number="AP-1", status="active")
    environ = {**sandbox.environ, f"RECONCILER_{name}": "freeze", "FORCE": "1", "CI": "1"}

    assert run("apply", "--auto-approve", environ=environ).code == 6
    assert sandbox.requests("PUT") == ()


def test_time_zones_are_known_on_a_system_that_has_none(declare: Declare, run: Run, tmp_path: Path) -> None:
    (tmp_path / "reconciler.toml").write_text(FREEZE)
    declare("a.yaml", serial_number="AP-1", status="active")
    ran = run("plan", environ={"PYTHONTZPATH": ""})

    assert (ran.code, "Europe/Paris: stock-taking" in ran.stdout) == (0, True)


@pytest.fixture
def frozen_at_night(declare: Declare, sandbox: Sandbox, tmp_path: Path) -> Settings:
    (tmp_path / "reconciler.toml").write_text(
        API + '[[guard.freeze]]\ndays = ["fri"]\nhours = "18:00-06:00"\ntimezone = "Europe/Paris"\n'
    )
    sandbox.seed("AP-1")
    declare("a.yaml", serial_number="AP-1", status="active")
    return load(tmp_path, sandbox.environ)


def at(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def test_a_plan_is_judged_when_it_is_made_and_again_when_it_is_applied(
    frozen_at_night: Settings, sandbox: Sandbox
) -> None:
    friday, friday_night = at("2026-11-27T16:59:00+00:00"), at("2026-11-27T17:00:00+00:00")
    by_day = reconcile.plan(frozen_at_night, clock=lambda: friday)
    by_night = reconcile.plan(frozen_at_night, clock=lambda: friday_night)

    assert by_day.refusals == ()
    assert [check.rule for check in by_night.refusals] == ["freeze"]
    assert by_day.digest == by_night.digest
    with pytest.raises(Refused, match="fri 18:00-06:00 Europe/Paris"):
        reconcile.apply(frozen_at_night, by_day, sandbox.environ, clock=lambda: friday_night)
    assert sandbox.requests("PUT") == ()
    assert reconcile.apply(frozen_at_night, by_night, sandbox.environ, clock=lambda: friday).exit_code == 0
