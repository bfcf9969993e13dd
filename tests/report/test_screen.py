import re
from dataclasses import replace

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model import ABSENT, Action, Change, Divergence, FieldChange, Plan, Serial, Source, Standing, Value
from reconciler.report.text import SCREEN, plan_text, summary_line

GROUP = Source("inventory/_groups/kiosk.yaml", 5, 12)
DEFAULTS = Source("inventory/_defaults.yaml", 3, 7)


def field(path: str, before: Value, after: Value, source: Source | None = None) -> FieldChange:
    return FieldChange(path, before, after, source)


def change(serial: str, *fields: FieldChange, action: Action = Action.UPDATE, file: str = "inventory/a.yaml") -> Change:
    place = None if action is Action.RELEASE else Source(file, 1)
    return Change(Serial(serial), action, fields, "", "", source=place)


def channels(count: int, before: Value = "auto", start: int = 0, source: Source = GROUP) -> list[Change]:
    return [
        change(f"K-{number:05}", field("/configuration/channel", before, 11, source))
        for number in range(start, start + count)
    ]


def lines(
    *changes: Change, full: bool = False, observed: tuple[Change, ...] = (), paused: tuple[Serial, ...] = ()
) -> list[str]:
    plan = Plan("lineage", 7, changes, 9, observed=observed, paused=paused)
    return click.unstyle(plan_text(plan, full=full)).splitlines()


def test_a_line_that_changes_many_devices_is_told_once_with_what_they_hold() -> None:
    shown = lines(*channels(9_700), *channels(112, before=6, start=9_700))
    counts = '9,812 devices (9,700 from "auto", 112 from 6)'

    assert shown == [
        "~ update",
        "",
        f'~ inventory/_groups/kiosk.yaml:5  configuration.channel  "auto" → 11  on {counts}',
        "",
        "--full shows every device and every field.",
        "",
        "Plan: 0 to adopt, 9,812 to update, 0 to release. 9 unchanged.",
    ]


def test_full_tells_every_device_and_no_cause() -> None:
    shown = lines(*channels(50), full=True)

    assert len([line for line in shown if line.startswith("~ K-")]) == 50
    assert shown.count('    ~ configuration.channel  "auto" → 11  inventory/_groups/kiosk.yaml:5:12') == 50
    assert not any("--full" in line for line in shown)


@pytest.mark.parametrize(
    ("befores", "path", "after", "told"),
    [
        ([1, 1], "/vlan", 2, "1 → 2  on 2 devices: K-0, K-1"),
        ([1] * 4, "/vlan", 2, "1 → 2  on 4 devices"),
        ([ABSENT] * 4, "/vlan", 2, "→ 2  on 4 devices (not set before)"),
        ([ABSENT] * 3 + [1], "/vlan", 2, "→ 2  on 4 devices (3 not set before, 1 from 1)"),
        ([1, 1, 2, 3, 4, 5], "/vlan", 9, "1 → 9  on 6 devices (2 from 1, 1 from 2, 1 from 3, 2 from 2 others)"),
        ([1] * 4, "/vlan", ABSENT, "no longer managed; the devices keep 1  on 4 devices"),
        ([1, 1, 1, 2], "/c/vlan", ABSENT, "1 → removed  on 4 devices (3 from 1, 1 from 2)"),
        ([1] * 4, "/kept/vlan", ABSENT, "no longer managed; the devices keep 1  on 4 devices"),
    ],
)
def test_a_cause_says_what_it_makes_of_what(befores: list[Value], path: str, after: Value, told: str) -> None:
    changes = [change(f"K-{number}", field(path, before, after, GROUP)) for number, before in enumerate(befores)]
    plan = Plan("lineage", 7, tuple(changes), 0, nested={"kept": "merge"})

    [line] = [line for line in click.unstyle(plan_text(plan)).splitlines() if "_groups" in line]
    assert line.endswith(f"  {told}")


def test_a_text_that_is_filled_in_for_each_device_is_one_cause_that_says_so() -> None:
    named = [change(f"K-{number}", field("/name", "x", f"kiosk-K-{number}", DEFAULTS)) for number in range(9_812)]

    told = '→ 9,812 different values  on 9,812 devices, such as K-0: "kiosk-K-0"'
    assert f"~ inventory/_defaults.yaml:3  name  {told}" in lines(*named)


def test_a_secret_of_many_devices_shows_no_value_and_no_number_of_values() -> None:
    fields = [replace(field("/psk", f"old{n}", f"new{n}", DEFAULTS), sensitive=True) for n in range(40)]

    shown = lines(*(change(f"K-{number}", item) for number, item in enumerate(fields)))
    assert "~ inventory/_defaults.yaml:3  psk  (sensitive)  on 40 devices" in shown


def test_secrets_are_alike_whatever_they_are() -> None:
    fields = [replace(field("/psk", f"old{n}", f"new{n}"), sensitive=True) for n in range(40)]

    shown = lines(*(change(f"K-{number:02}", item) for number, item in enumerate(fields)))
    assert any(line.startswith("~ 40 devices: K-00, K-01, ") for line in shown)
    assert shown.count("    ~ psk  (sensitive) → (sensitive)") == 1


def test_a_device_shows_what_is_its_own_and_how_much_it_shares() -> None:
    own = change("L-1", field("/configuration/channel", "auto", 11, GROUP), field("/name", "a", "b"))

    assert "~ L-1  inventory/a.yaml:1  and 1 field that others share" in lines(*channels(5), own)


def test_a_first_plan_of_ten_thousand_devices_counts_them_by_folder_and_tells_what_they_share() -> None:
    adopted = [
        change(
            f"{kind[0].upper()}-{number:04}",
            field("/status", ABSENT, "active", DEFAULTS),
            field("/name", ABSENT, f"{number}"),
            action=Action.ADOPT,
            file=f"inventory/{kind}/{number % 500}.yaml",
        )
        for kind, count in (("kiosks", 9_000), ("gateways", 1_000))
        for number in range(count)
    ]
    shown = lines(*adopted)

    assert len(shown) <= SCREEN
    assert '+ inventory/_defaults.yaml:3  status  → "active"  on 10,000 devices' in shown
    start = shown.index("+ 10,000 devices to adopt, 20,000 fields in all:")
    assert shown[start + 1] == "    status, name"
    assert shown[start + 2].startswith("    + inventory/kiosks/    9,000 devices in 500 files: K-0000, K-0001, ")
    assert shown[start + 3].startswith("    + inventory/gateways/  1,000 devices in 500 files: G-0000, G-0001, ")


def test_a_dangerous_action_is_not_buried_under_a_common_one() -> None:
    updates = [change(f"K-{number}", field("/vlan", number, number + 1)) for number in range(9_000)]
    resends = [change(f"R-{number}", field("/vlan", number, 1), action=Action.RESEND) for number in range(90)]
    shown = lines(*updates, *resends, change("GONE-1", action=Action.RELEASE))

    assert len([line for line in shown if line.startswith("! R-")]) > 5
    assert any(line.startswith("- GONE-1  ") for line in shown)


counts = st.integers(0, 60) | st.sampled_from([1, 2, 3, 4, 300])


@settings(max_examples=60)
@given(st.lists(counts, min_size=9, max_size=9), st.sampled_from(["x", "x" * 500]))
def test_any_mixture_fits_on_a_screen_and_every_device_is_told_or_counted(numbers: list[int], word: str) -> None:
    causes, groups, singles, adopted, released, resent, observed, standing, paused = numbers
    changes = [
        *(
            change(f"C{n}-{m}", field("/vlan", m, word, Source(f"{word}.yaml", n + 1)))
            for n in range(causes)
            for m in (1, 2)
        ),
        *(change(f"G{n}-{m}", field("/vlan", 1, [n, word])) for n in range(groups) for m in range(30)),
        *(change(f"S{n}", field("/vlan", word, n), field(f"/{word}", n, 1), field("/b", n, 1)) for n in range(singles)),
        *(
            change(f"A{n}", field("/vlan", ABSENT, n), action=Action.ADOPT, file=f"i/{n % 9}/{n}.yaml")
            for n in range(adopted)
        ),
        *(change(f"R{n}", action=Action.RELEASE) for n in range(released)),
        *(change(f"U{n}", field("/vlan", n, word), action=Action.RESEND) for n in range(resent)),
    ]
    plan = Plan(
        "lineage",
        7,
        tuple(changes),
        3,
        standing=tuple(Standing(Serial(f"D{n}"), (Divergence("/vlan", n, word),), (word,)) for n in range(standing)),
        targets=tuple(word for _ in range(singles)),
        observed=tuple(replace(item, serial=Serial(f"O{item.serial}")) for item in changes[:: 1 + observed]),
        paused=tuple(Serial(f"P{n}") for n in range(paused)),
    )
    shown = click.unstyle(plan_text(plan)).splitlines()
    ours = [line.replace(",", "") for line in shown if not line.startswith("  | ")]

    assert len(shown) <= SCREEN
    singly = [line for line in ours if re.match(r"[-+~!] [A-Z]\d+(  |$)", line)]
    counted = [
        int(number)
        for pattern in (
            r"^[-+~!] (\d+) devices",
            r"^~ x.* on (\d+) devices",
            r"[:;] (\d+) more devices",
            r"that changes? (\d+)",
        )
        for line in ours
        for number in re.findall(pattern, line)
    ]
    assert len(singly) + sum(counted) == len(changes)
    assert all(any(line.startswith(symbol) for line in ours) for symbol in _symbols(changes))


def _symbols(changes: list[Change]) -> set[str]:
    symbols = {Action.ADOPT: "+ ", Action.UPDATE: "~ ", Action.RESEND: "! ", Action.RELEASE: "- "}
    return {symbols[change.action] for change in changes}


def test_observed_devices_are_folded_and_never_look_like_what_is_sent() -> None:
    shown = lines(
        change("S-1", field("/vlan", 1, 2)), observed=tuple(channels(40)), paused=(Serial("P-1"), Serial("P-2"))
    )

    start = shown.index("Observed, not sent ($manage: observe):")
    assert shown[start + 1 :] == [
        '  | ~ inventory/_groups/kiosk.yaml:5  configuration.channel  "auto" → 11  on 40 devices',
        "",
        "Paused, left alone ($manage: pause): P-1, P-2",
        "",
        "Plan: 0 to adopt, 1 to update, 0 to release. 9 unchanged, 40 observed, 2 paused.",
    ]
    every = lines(observed=tuple(channels(40)), full=True)
    assert len([line for line in every if line.startswith("  | ~ K-")]) == 40


@pytest.mark.parametrize(
    ("observed", "paused", "standing", "says"),
    [
        (2, 0, 0, "No changes. 9 devices are as declared, 2 observed and different."),
        (0, 1, 0, "No changes. 9 devices are as declared, 1 paused."),
        (2, 1, 1, "No changes. 1 of 9 devices does not stand as declared, 2 observed and different, 1 paused."),
        (0, 0, 0, "No changes. All 9 devices are as declared."),
    ],
)
def test_no_changes_does_not_hide_who_is_set_aside(observed: int, paused: int, standing: int, says: str) -> None:
    plan = Plan(
        "lineage",
        7,
        (),
        9,
        observed=tuple(channels(observed)),
        paused=tuple(Serial(f"P-{number}") for number in range(paused)),
        standing=tuple(Standing(Serial(f"D-{number}"), (), ("name",)) for number in range(standing)),
    )

    assert click.unstyle(summary_line(plan)) == says
