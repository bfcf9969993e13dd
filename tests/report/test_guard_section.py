"""The section of a plan that says what the guards found."""

import click
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.model import GuardCheck, Plan
from reconciler.plan.guard import RULES
from reconciler.report.guards import WIDTH, guards_table, guards_text
from reconciler.report.markdown import plan_markdown
from reconciler.report.text import plan_text

TRICKY = st.sampled_from(["```", "\n`````\n", "</details>", "@everyone", "\x1b[2J", "\u202e", "::error::"]) | st.text()


def passing(**messages: str) -> list[GuardCheck]:
    return [GuardCheck(rule, passed=True, message=messages.get(rule, f"{rule} fine")) for rule in RULES]


def lines(checks: list[GuardCheck]) -> list[str]:
    return [click.unstyle(line) for line in guards_text(checks)]


def test_rules_that_have_nothing_to_add_stay_quiet_while_they_pass() -> None:
    [line, *rest] = lines(passing())

    assert line.startswith("Guards: max_changed_pct fine · max_released_pct fine · max_fan_out fine · ")
    assert not any(
        rule + " fine" in " ".join([line, *rest]) for rule in ("server", "unknown", "max_adopted", "lifecycle")
    )


def test_a_count_with_a_limit_is_told() -> None:
    checks = [GuardCheck("max_adopted", passed=True, message="3 adopted (limit 5)", measured=3, limit=5)]

    assert lines(checks) == ["Guards: 3 adopted (limit 5)"]


def test_what_refuses_comes_first_by_name() -> None:
    checks = [GuardCheck("freeze", passed=False, message="not now", override="later"), *passing()]
    text = click.unstyle(plan_text(Plan("l", 1, (), 3, guards=tuple(checks))))

    assert "refused by freeze: not now\n  later\n" in text
    assert "\nGuards: refused by freeze · max_changed_pct fine · " in text
    told_elsewhere = click.unstyle(plan_text(Plan("l", 1, (), 3, guards=tuple(checks)), refusals=False))
    assert "not now" not in told_elsewhere
    assert "\nGuards: refused by freeze · " in told_elsewhere


@example("0" * 59)
@given(st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="·"), min_size=1, max_size=60))
def test_a_long_section_is_wrapped_between_its_parts(word: str) -> None:
    found = lines(passing(max_fan_out=f"{word} {word}", protected=f"{word} and {word}"))

    assert all(len(line) <= max(WIDTH + 2, 2 * len(word) + 10) for line in found)
    assert " · ".join(line.strip() for line in found).count(f"{word} and {word}") >= 1
    assert all(line.startswith("  ") and not line.strip().startswith("·") for line in found[1:])


@given(TRICKY)
def test_no_reason_reaches_the_terminal_raw_or_escapes_from_the_fence(reason: str) -> None:
    checks = [GuardCheck("freeze", passed=False, message=f"not now: {reason}", override="later"), *passing()]
    plan = Plan("lineage", 7, (), 3, guards=tuple(checks))
    rows = plan_markdown(plan).splitlines()
    [start] = [number for number, row in enumerate(rows) if row.endswith("```diff")]
    fence = rows[start].removesuffix("diff")
    inside = rows[start + 1 : rows.index(fence, start)]

    assert any(row.startswith("- freeze") for row in inside)
    assert rows[-1] == "</details>"
    assert not any(row.lstrip().startswith(fence) for row in inside)
    assert not {"\x1b", "\u202e"} & set(plan_text(plan, refusals=True).replace("\x1b[", ""))


def test_below_a_rule_that_refuses_is_what_to_do() -> None:
    checks = [GuardCheck("server", passed=False, message="another", override="go back"), *passing()[:1]]

    assert list(guards_table(checks)) == [
        "- server           another",
        "                   go back",
        "+ max_changed_pct  max_changed_pct fine",
    ]
