from examples import AP, applied, desired
from hypothesis import assume, given
from hypothesis import strategies as st

from reconciler.model import GuardCheck, Plan, Serial
from reconciler.plan.diff import diff
from reconciler.report.markdown import plan_markdown


def markdown(name: str) -> str:
    return plan_markdown(Plan("lineage", 7, diff(desired({AP: {"name": name}}), applied({AP: {"name": "a"}})), 3))


def test_the_summary_comes_first_and_changes_are_in_a_diff_fence() -> None:
    lines = markdown("b").splitlines()

    assert lines[0] == "### Plan: 0 to adopt, 1 to update, 0 to release. 3 unchanged."
    assert '!     name  "a" → "b"' in lines[lines.index("```diff") : lines.index("```")]


@given(st.text() | st.sampled_from(["```", "\n````\n", "</details>", "@everyone", "`" * 9]))
def test_no_name_escapes_from_the_fence(name: str) -> None:
    assume(name != "a")
    lines = markdown(name).splitlines()
    [start] = [number for number, line in enumerate(lines) if line.endswith("```diff")]
    fence = lines[start].removesuffix("diff")
    inside = lines[start + 1 : lines.index(fence, start)]

    assert any("name" in line for line in inside)
    assert not any(line.lstrip().startswith(fence) for line in inside)
    assert lines[-2:] == ["", "</details>"]


def test_a_huge_plan_is_cut_at_a_line() -> None:
    old = {f"AP-{number}": {"name": "a" * 100} for number in range(2000)}
    new = {serial: {"name": f"{serial}" + "b" * 100} for serial in old}
    text = plan_markdown(Plan("lineage", 7, diff(desired(new), applied(old)), 3), full=True)

    assert len(text) < 65_000
    assert "… cut here; reconciler plan --full shows all\n```" in text


def test_a_refusal_stands_above_the_changes() -> None:
    plan = Plan("lineage", 7, (), 3, guards=(GuardCheck("protected", passed=False, message="no", override="do"),))

    assert "**Refused by a guard (protected): apply will not run.**" in plan_markdown(plan)


def test_a_plan_for_ten_thousand_devices_is_folded() -> None:
    old = {f"AP-{number}": {"name": "a"} for number in range(10_000)}
    changes = diff(desired({serial: {"name": "b"} for serial in old}), applied(old))
    text = plan_markdown(Plan("lineage", 7, changes, 0))

    assert len(text.splitlines()) < 50
    assert "! 10,000 devices: AP-0, AP-1, " in text
    assert "\nreconciler plan --full shows every device and every field.\n" in text


def test_what_is_observed_is_shown_without_the_colours_of_a_change() -> None:
    changes = diff(desired({AP: {"name": "b"}}), applied({AP: {"name": "a"}}))
    lines = plan_markdown(Plan("lineage", 7, (), 3, observed=changes, paused=(Serial("AP-2"),))).splitlines()

    assert lines[0] == "### No changes. 3 devices are as declared, 1 observed and different, 1 paused."
    inside = lines[lines.index("```diff") + 1 : lines.index("```")]
    assert "Observed, not sent ($manage: observe):" in inside
    assert '  |     ~ name  "a" → "b"' in inside
    assert "Paused, left alone ($manage: pause): AP-2" in inside
    assert not any(line.startswith(("+", "-", "!")) for line in inside)


@given(st.text() | st.sampled_from(["```", "\n````\n", "</details>", "`" * 9]))
def test_no_name_of_an_observed_device_escapes_from_the_fence(name: str) -> None:
    changes = diff(desired({AP: {name: name}}), applied({AP: {}}))
    lines = plan_markdown(Plan("lineage", 7, (), 3, observed=changes, targets=(name,))).splitlines()
    [start] = [number for number, line in enumerate(lines) if line.endswith("```diff")]
    fence = lines[start].removesuffix("diff")

    assert [number for number, line in enumerate(lines) if line.startswith(fence)] == [start, len(lines) - 3]
