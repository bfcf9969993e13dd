"""Comments and summaries: nothing in them is more than text, and they fit where they go."""

import re
from collections.abc import Mapping
from dataclasses import replace

import pytest
from examples import AP, applied, desired, values
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import GuardCheck, Json, Plan, Source
from reconciler.plan.diff import diff
from reconciler.plan.marks import Marks
from reconciler.plan.plan_file import digest
from reconciler.report.comment import (
    COMMENT,
    apply_comment,
    held,
    no_plan,
    outdated,
    plan_comment,
    plan_summary,
    stopped,
)
from reconciler.report.notices import notices

HEAD, NEXT = "a" * 40, "b" * 40
FENCE = re.compile(r"(?ms)^(`{3,})diff\n(.*?)\n?^\1$")
hostile = st.text() | st.sampled_from(
    [
        "```",
        "`" * 400,
        "\n```\n# title",
        "~~~",
        "</details><img src=x onerror=y>",
        "@everyone #1 example/fleet#2 GH-3",
        "<!-- reconciler plan default -->",
        f"\n<!-- head {HEAD} digest {'0' * 64} -->\n",
        "::error::x\n##[add-mask]y",
        "\x1b[31m\u202e\u200b",
        "${{ secrets.X }}",
        "\r\n> **Outdated**",
    ]
)


def planned(old: Mapping[str, Json], new: Mapping[str, Json], *, guard: str = "") -> Plan:
    changes = diff(desired({AP: new}), applied({AP: old}))
    guards = (GuardCheck("protected", passed=False, message=guard, override=guard),) if guard else ()
    return Plan("lineage", 7, changes, 3, guards=guards, digest=digest(changes))


def commented(plan: Plan) -> str:
    return plan_comment(plan, name="default", head=HEAD, url="https://example.com/run", artifact="reconciler-plan")


def outside(text: str) -> str:
    """What Markdown reads: all but the insides of fences."""
    return FENCE.sub("", text)


PLAIN = outside(commented(planned({"a": 1}, {"a": 2}, guard="no")))


@given(hostile, hostile, hostile)
def test_whatever_devices_and_guards_say_only_the_insides_of_fences_change(key: str, text: str, guard: str) -> None:
    old: dict[str, Json] = {"name": "old", "configuration": {"x": 1}}
    plan = planned(old, {"name": text + "new", "configuration": {"x": 1, key: text}}, guard=guard or "no")
    told = outside(commented(plan))

    assert re.sub(r"digest [0-9a-f]{64}", "digest", told) == re.sub(r"digest [0-9a-f]{64}", "digest", PLAIN)


@given(hostile, hostile)
def test_whatever_stops_a_run_is_only_text(title: str, text: str) -> None:
    for told in (
        stopped("Stopped", text, name="north"),
        no_plan("the inventory has problems", text, name="north", head=HEAD),
        apply_comment("Applied", f"{title}\n{text}", name="north", url="https://example.com", again=True),
    ):
        inside = [found for _, found in FENCE.findall(told)]
        assert len(inside) == 1
        assert all(line.isprintable() for line in inside[0].split("\n"))
    assert outside(stopped("Stopped", text, name="north")) == outside(stopped("Stopped", "", name="north"))


@given(st.dictionaries(hostile, values | hostile, max_size=6), st.sampled_from([1, 40, 3000]))
def test_a_comment_fits_whatever_is_in_it(fields: dict[str, Json], times: int) -> None:
    fleet: dict[str, dict[str, Json]] = {
        f"AP-{number}": {**fields, "name": f"{'ö`' * 50}{number}"} for number in range(times)
    }
    changes = diff(desired(fleet), applied({}))
    told = commented(Plan("lineage", 7, changes, 3, digest=digest(changes)))

    assert len(told.encode()) <= COMMENT < 65_536
    assert outside(told).count("<details") == outside(told).count("</details>")


def test_what_does_not_fit_is_left_out_by_whole_devices_and_counted() -> None:
    fleet: dict[str, dict[str, Json]] = {f"AP-{n:04}": {"name": "x" * 90, "place": f"{n}"} for n in range(2000)}
    told = commented(Plan("lineage", 7, diff(desired(fleet), applied({})), 0, digest="0" * 64))

    [every] = re.findall(r"(?s)Every device and every field</summary>\n\n```diff\n(.*?)\n```", told)
    shown = re.findall(r"(?m)^\+ (AP-\d{4})  ", every)
    assert 100 < len(shown) < 2000
    assert every.count("+     name ") == every.count("+     place") == len(shown)
    assert every.endswith(f"… and {2000 - len(shown):,} more devices: the artifact reconciler-plan has everything")
    whole = plan_summary(
        Plan("lineage", 7, diff(desired(fleet), applied({})), 0), name="default", url="", artifact="reconciler-plan"
    )
    assert len(re.findall(r"(?m)^\+ AP-\d{4}  ", whole)) >= 2000


def test_whoever_reads_a_comment_is_sent_below_and_not_to_an_option() -> None:
    fleet: dict[str, dict[str, Json]] = {f"AP-{n}": {"name": "x", "place": f"{n}"} for n in range(100)}
    changes = diff(desired(fleet), applied({}))
    told = commented(Plan("l", 7, changes, 0, observed=changes, digest="0" * 64))

    assert "More is below; the artifact reconciler-plan has everything.\n" in told
    assert "<summary>Every device and every field</summary>" in told.partition("More is below")[2]
    assert "--full" not in told


def test_the_order_is_summary_guards_changes_devices() -> None:
    fleet: dict[str, dict[str, Json]] = {f"AP-{n}": {"name": "x"} for n in range(100)}
    changes = diff(desired(fleet), applied({}))
    told = commented(
        Plan("l", 7, changes, 0, guards=(GuardCheck("protected", passed=True, message="fine"),), digest="0" * 64)
    )

    places = [
        told.index(part)
        for part in (
            "### Plan: 100 to adopt",
            "Guards: all 1 pass",
            "Changes, by what",
            "Every device and",
            "<sub>digest",
        )
    ]
    assert places == sorted(places)


@given(hostile)
def test_a_comment_remembers_its_head_and_digest_and_is_outdated_by_another_head_once(name: str) -> None:
    plan = planned({"name": "a"}, {"name": f"b{name}"})
    body = commented(plan)

    assert held(body) == held(body.replace("\n", "\r\n")) == (HEAD, plan.digest)
    assert outdated(body, HEAD) == body
    later = outdated(body, NEXT)
    assert "> **Outdated**: this is about aaaaaaaaaaaa, and the head is bbbbbbbbbbbb now." in later.splitlines()
    assert held(later) == (HEAD, plan.digest)
    assert outdated(later, NEXT) == later


@pytest.mark.parametrize(
    "text", ["", "hello", "<!-- reconciler plan default -->", "\n" + commented(planned({}, {"a": 1}))]
)
def test_what_is_no_plan_of_ours_holds_none(text: str) -> None:
    assert held(text) is None
    assert outdated(text, NEXT) == text


def test_a_line_is_told_once_with_all_that_it_changes() -> None:
    fleet: dict[str, dict[str, Json]] = {f"AP-{n}": {"name": "x"} for n in range(100)}
    plan = Plan("lineage", 7, diff(desired(fleet), applied({serial: {"name": "y"} for serial in fleet})), 0)

    [(place, title, text)] = notices(plan)
    assert (place.file, place.line, title) == ("inventory/lobby.yaml", 3, "Changes 100 devices")
    assert '"y" → "x"' in text


def test_each_line_of_a_device_tells_what_it_changes_and_a_device_that_left_has_none() -> None:
    old: dict[str, dict[str, Json]] = {"AP-1": {"name": "a", "place": "b"}, "AP-2": {}}
    [change, gone] = diff(desired({"AP-1": {"name": "x", "place": "y"}}), applied(old))
    spread = [replace(field, source=Source("a.yaml", 4 + n)) for n, field in enumerate(change.fields)]
    found = notices(Plan("lineage", 7, (replace(change, fields=tuple(spread)), gone), 0))

    assert [(place.line, text.rpartition("  ")[2]) for place, _, text in found] == [
        (4, 'name "a" → "x"'),
        (5, 'place "b" → "y"'),
    ]


def test_no_secret_is_told() -> None:
    changes = diff(
        desired({AP: {"psk": "s3cr3t"}}), applied({AP: {"psk": "0ld"}}), marks=Marks(secret=frozenset({"/psk"}))
    )
    plan = Plan("lineage", 7, changes, 0, digest=digest(changes))

    for told in (commented(plan), repr(notices(plan))):
        assert "(sensitive)" in told
        assert "s3cr3t" not in told
        assert "0ld" not in told
