import json
from dataclasses import replace

import click
import jsonschema_rs
from examples import AP, applied, desired

from reconciler.inventory.schema import packaged_schema
from reconciler.model import (
    ABSENT,
    Accepted,
    Applied,
    Change,
    Divergence,
    Divergent,
    NotAttempted,
    Outcome,
    Plan,
    Rejected,
    Serial,
    Source,
    Unknown,
)
from reconciler.plan.diff import diff
from reconciler.report.outcomes import document, outcomes_text, tally

[CHANGE] = diff(desired({AP: {"vlan": 2, "status": "x"}}), applied({AP: {"vlan": 1, "status": "x"}}))
LOCATED = replace(CHANGE, fields=tuple(replace(item, source=Source("a.yaml", 12, 9)) for item in CHANGE.fields))
EVERY: tuple[Outcome, ...] = (
    Applied(LOCATED, 200, 1),
    Accepted(LOCATED, 202, 1),
    Divergent(LOCATED, 200, 1, (Divergence("/vlan", 2, 1), Divergence("/c/old", ABSENT, True))),  # noqa: FBT003 - a value
    Rejected(LOCATED, 422, 1, (("/vlan", "too\x1b high"), ("", "sorry"))),
    Unknown(LOCATED, 4, "connection broke"),
    NotAttempted(LOCATED, "interrupted"),
)


def text(*outcomes: Outcome, done: tuple[Serial, ...] = (), stopped: bool = False) -> list[str]:
    return click.unstyle(outcomes_text(outcomes, done=done, seconds=1.25, stopped=stopped)).splitlines()


def test_every_device_that_is_not_applied_is_named_with_its_reason_and_place() -> None:
    lines = text(*EVERY)

    assert lines == [
        "accepted AP-0001  inventory/lobby.yaml:3",
        "    the server took it (202) and did not show the result",
        "divergent AP-0001  a.yaml:12",
        "    vlan was sent as 2; the server holds 1",
        ('    c.old was removed, and the server still holds true: it merges nested objects; set api.nested = "merge"'),
        "rejected AP-0001  a.yaml:12",
        "    422 vlan: too\\u001b high",
        "    422 sorry",
        "unknown AP-0001  inventory/lobby.yaml:3",
        "    connection broke (4 attempts)",
        "not attempted AP-0001  inventory/lobby.yaml:3",
        "    interrupted",
        "Apply: 1 applied, 1 accepted, 1 divergent, 1 rejected, 1 unknown, 1 not attempted in 1.2 s.",
        *lines[-4:],
    ]


def test_devices_that_were_not_attempted_for_one_reason_share_a_line() -> None:
    lines = text(
        *[NotAttempted(replace(LOCATED, serial=Serial(f"AP-{number}")), "interrupted") for number in range(70)]
    )

    assert lines[0].startswith("not attempted 70 devices: AP-0, AP-1, AP-2")
    assert lines[0].endswith("AP-49 … and 20 more (--report FILE.json names all)")
    assert lines[1] == "    interrupted"
    assert len(lines) == 4


def test_every_kind_of_trouble_names_the_next_step() -> None:
    for outcome, command in zip(
        EVERY[2:], ("apply --resend", "reconciler plan", "run apply again", "run apply again"), strict=True
    ):
        assert command in text(outcome)[-1]
    assert "run apply again" in text(EVERY[3], stopped=True)[-1]
    assert text(EVERY[0])[-1].startswith("Apply:")


def test_a_thousand_failures_do_not_bury_the_summary() -> None:
    lines = text(*[replace(EVERY[3], change=replace(LOCATED, serial=Serial(f"AP-{number}"))) for number in range(1000)])

    assert len(lines) < 160
    assert "… and 950 more rejected (--report FILE.json names all)" in lines


def test_the_document_names_every_device_and_fits_its_schema() -> None:
    report = document(
        EVERY,
        run="abc",
        started="2026-11-23T09:14:00.000Z",
        seconds=1.25,
        plan=Plan("lineage", 7, (), 3, digest="0" * 64),
        done=[Serial("AP-2")],
        exit_code=3,
        error="why",
    )

    jsonschema_rs.validator_for(packaged_schema("report")).validate(json.loads(json.dumps(report)))
    outcomes = report["outcomes"]
    assert isinstance(outcomes, list)
    assert len(outcomes) == 6


def test_the_tally_counts_each_kind_once() -> None:
    assert set(tally(EVERY).values()) == {1}
    assert sum(tally([Applied(_plain(), 200, 1)] * 3).values()) == 3


def _plain() -> Change:
    return CHANGE
