import click
import pytest
from examples import AP, PLACE, Fleet, applied, desired, unanswered

from reconciler.model import ABSENT, DeviceState, Divergence, GuardCheck, Plan, Serial, Snapshot, Standing
from reconciler.plan.diff import diff
from reconciler.plan.marks import Marks
from reconciler.report.text import SCREEN, plan_text, summary_line


def text(new: Fleet, old: Fleet | Snapshot, *, full: bool = False, marks: Marks | None = None) -> list[str]:
    snapshot = old if isinstance(old, Snapshot) else applied(old)
    plan = Plan("lineage", 7, diff(desired(new), snapshot, marks=marks), 997)
    return click.unstyle(plan_text(plan, full=full)).splitlines()


def test_an_update_shows_only_the_changed_fields_aligned_with_the_device_and_its_place() -> None:
    new: Fleet = {AP: {"name": "Hall", "status": "on", "configuration": {"auto_update": True, "channel": 11, "x": 1}}}
    old: Fleet = {AP: {"name": "Lobby", "status": "on", "configuration": {"channel": 6, "x": 1, "old": [1]}}}

    assert text(new, old) == [
        "~ update",
        "",
        f"~ AP-0001  {PLACE.file}:{PLACE.line}",
        '    ~ name                       "Lobby" → "Hall"',
        "    + configuration.auto_update  true",
        "    ~ configuration.channel      6 → 11",
        "    - configuration.old          [1] → removed",
        "",
        "Plan: 0 to adopt, 1 to update, 0 to release. 997 unchanged.",
    ]


def test_a_released_field_says_what_the_device_keeps() -> None:
    lines = text({AP: {}}, {AP: {"location": "Lobby"}})

    assert '    - location  no longer managed; the device keeps "Lobby"' in lines


def test_a_resend_is_counted_and_explained() -> None:
    lines = text({AP: {"vlan": 2}}, unanswered({"vlan": 1}, {"vlan": 2}))

    assert any("the last PUT had no trustworthy answer: sent again" in line for line in lines)
    assert lines[-1] == "Plan: 0 to adopt, 0 to update, 1 to resend, 0 to release. 997 unchanged."


def test_few_adoptions_show_their_fields_and_many_one_line_each() -> None:
    few = text({AP: {"vlan": 2}}, {})
    many = text({f"AP-{number}": {"vlan": 2} for number in range(5)}, {})

    assert "    + vlan  2" in few
    assert "+ AP-3  inventory/lobby.yaml:3  1 field" in many
    assert many[-3] == "--full shows every device and every field."


def test_ten_thousand_devices_read_on_one_screen_and_none_is_forgotten() -> None:
    old = {f"AP-{number:05}": {"vlan": number} for number in range(10_000)}
    new = {serial: {"vlan": -1} for serial in list(old)[:9_000]} | {f"LT-{number}": {"a": 1} for number in range(700)}
    lines = text(new, old)

    assert len(lines) <= SCREEN
    shown = len([line for line in lines if line.startswith("~ AP-")])
    left = f"{9_000 - shown:,}"
    adopted = "the values of 700 adopted devices that no line above tells"
    more = f"{left} more devices ({left} to update)"
    assert f"Left out: {adopted}; {more}. --full shows every device and every field." in lines
    assert "+ 700 devices to adopt, 700 fields in all:" in lines
    assert [line.startswith("- 1,000 devices: AP-09000, AP-09001, ") for line in lines].count(True) == 1
    assert len([line for line in text(new, old, full=True) if line.startswith("~ AP-")]) == 9_000


def test_the_same_change_is_shown_once() -> None:
    old: Fleet = {f"AP-{number:02}": {"vlan": 1} for number in range(13)}
    lines = text({serial: {"vlan": 2} for serial in old}, old)

    names = ", ".join(f"AP-{number:02}" for number in range(12))
    assert f"~ 13 devices: {names}, …" in lines
    assert lines.count("    ~ vlan  1 → 2") == 1
    assert lines[-3] == "--full shows every device and every field."


def test_a_secret_is_called_sensitive() -> None:
    marks = Marks(secret=frozenset({"/psk"}))

    assert "    ~ psk  (sensitive) → (sensitive)" in text({AP: {"psk": "b"}}, {AP: {"psk": "a"}}, marks=marks)


def test_what_stands_and_what_is_refused_is_part_of_the_plan() -> None:
    plan = Plan(
        "lineage",
        7,
        (),
        3,
        guards=(GuardCheck("protected", passed=False, message="no", override="do this"),),
        standing=(Standing(AP, (Divergence("/vlan", 2, 1),)), Standing(Serial("AP-2"), (), ("name", "vlan"))),
    )
    lines = click.unstyle(plan_text(plan)).splitlines()

    assert "divergent AP-0001: vlan was sent as 2; the server holds 1" in lines
    assert "unconfirmed AP-2: name, vlan accepted by the server, never shown" in lines
    assert "refused by protected: no" in lines
    assert lines[-2:] == ["No changes. 2 of 3 devices do not stand as declared.", "Guards: refused by protected"]


@pytest.mark.parametrize(
    ("devices", "says"),
    [(1, "The one device does not stand as declared."), (2, "1 of 2 devices does not stand as declared.")],
)
def test_a_fleet_of_one_is_spoken_of_as_one(devices: int, says: str) -> None:
    plan = Plan("lineage", 7, (), devices, standing=(Standing(AP, (), ("name",)),))

    assert click.unstyle(summary_line(plan)) == f"No changes. {says}"


def test_a_value_cannot_reach_the_terminal_raw() -> None:
    lines = "\n".join(text({AP: {"name": "\x1b[2J\u202e\x9b1m"}}, {AP: {"name": "\x07"}}))

    assert not {"\x1b", "\u202e", "\x9b", "\x07"} & set(lines)
    assert '"\\u0007" → "\\u001b[2J\\u202e\\u009b1m"' in lines


def test_a_divergent_removal_says_so() -> None:
    state = DeviceState({}, divergence=(Divergence("/c/old", ABSENT, 1),))
    plan = Plan("l", 1, (), 1, standing=(Standing(AP, state.divergence),))

    assert "divergent AP-0001: c.old was removed; the server holds 1" in click.unstyle(plan_text(plan))


def test_what_holds_for_many_devices_stands_once() -> None:
    serials = [Serial(f"AP-{number:03}") for number in range(300)]
    plan = Plan("l", 1, (), 300, standing=tuple(Standing(serial, (), ("name",)) for serial in serials))
    lines = click.unstyle(plan_text(plan)).splitlines()

    names = ", ".join(serials[:12])
    told = f"unconfirmed 300 devices: {names}, … and 288 more: name accepted by the server, never shown"
    assert lines[0] == told
    assert len(click.unstyle(plan_text(plan, full=True)).splitlines()) > 300
