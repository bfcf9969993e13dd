"""Layers from files to resolved devices, through the same door that users come in by."""

import json
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import pytest
from conftest import Declare

from reconciler.config import Settings
from reconciler.model import Device, Json, Serial
from reconciler.reconcile import Validated, validate

TODAY = date(2026, 6, 15)
Resolve = Callable[[], Validated]


@pytest.fixture
def resolve(tmp_path: Path) -> Resolve:
    def resolve() -> Validated:
        return validate(Settings(root=tmp_path, inventory=tmp_path / "inventory"), today=TODAY)

    return resolve


def fields(found: Validated, serial: str = "A") -> Mapping[str, Json]:
    assert [f"{p.source} {p.message}" for p in found.problems] == []
    return found.desired.devices[Serial(serial)].fields


def told(found: Validated) -> list[str]:
    return [f"{p.source.file.removeprefix('inventory/')}:{p.source.line} {p.code} {p.message}" for p in found.problems]


def test_each_layer_lies_on_top_of_the_one_before(declare: Declare, resolve: Resolve) -> None:
    steps = ["root", "folder", "nested", "low group", "high group", "file", "device"]
    shown: dict[str, Json] = {}

    def layer(index: int) -> str:
        return "{" + ", ".join(f'k{n}: "{steps[index]}"' for n in range(index, len(steps))) + "}"

    declare("_defaults.yaml", f"configuration: {layer(0)}")
    declare("west/_defaults.yaml", f"configuration: {layer(1)}")
    declare("west/paris/_defaults.yaml", f"configuration: {layer(2)}")
    declare("_groups/a.yaml", f"group: b\nselect: {{status: active}}\nset: {{configuration: {layer(3)}}}")
    declare("_groups/b.yaml", f"group: a\npriority: 5\nselect: {{status: active}}\nset: {{configuration: {layer(4)}}}")
    declare(
        "west/paris/a.yaml",
        f"defaults:\n  configuration: {layer(5)}\n  status: active\n"
        f"devices:\n- serial_number: A\n  configuration: {layer(6)}\n",
    )
    shown = {f"k{index}": step for index, step in enumerate(steps)}

    assert fields(resolve())["configuration"] == shown


def test_a_layer_reaches_only_its_own_folder(declare: Declare, resolve: Resolve) -> None:
    declare("west/_defaults.yaml", "location: West")
    declare("west/a.yaml", serial_number="A")
    declare("western/b.yaml", serial_number="B")

    assert fields(resolve(), "A") == {"location": "West"}
    assert fields(resolve(), "B") == {}


def test_maps_merge_deeply_while_scalars_lists_and_nulls_replace(declare: Declare, resolve: Resolve) -> None:
    declare("_defaults.yaml", "configuration: {a: {b: 1, c: 2}, d: [1, 2], e: {f: 1}, g: 1}\nassigned_user: a@b.de")
    declare("a.yaml", "serial_number: A\nassigned_user: null\nconfiguration: {a: {c: 3}, d: [3], e: null, g: {h: 1}}")

    assert fields(resolve()) == {
        "assigned_user": None,
        "configuration": {"a": {"b": 1, "c": 3}, "d": [3], "e": None, "g": {"h": 1}},
    }


def test_a_list_merges_only_if_the_schema_says_so(declare: Declare, tmp_path: Path) -> None:
    schema = """{"properties": {"serial_number": {"type": "string"}, "plain": {"type": "array"},
        "tags": {"type": "array", "x-merge": "set"}, "ssids": {"type": "array", "x-merge-key": "name"}}}"""
    (tmp_path / "own.json").write_text(schema)
    declare("_defaults.yaml", "plain: [a]\ntags: [a, b]\nssids: [{name: corp, vlan: 1, auth: {x: 1}}, {name: guest}]")
    declare(
        "a.yaml",
        "serial_number: A\nplain: [b]\ntags: [b, c]\nssids: [{name: lab}, {name: corp, vlan: 2, auth: {y: 2}}]",
    )

    found = validate(Settings(tmp_path, inventory=tmp_path / "inventory", schema=tmp_path / "own.json"), today=TODAY)

    assert fields(found) == {
        "plain": ["b"],
        "tags": ["a", "b", "c"],
        "ssids": [{"name": "corp", "vlan": 2, "auth": {"x": 1, "y": 2}}, {"name": "guest"}, {"name": "lab"}],
    }


def test_unset_takes_away_what_lies_below_and_nothing_else(declare: Declare, resolve: Resolve) -> None:
    declare("_defaults.yaml", 'configuration: {"x.y": 1, b: {c: 1, d: 2}, e: 3}\nlocation: Lobby')
    declare(
        "a.yaml",
        "serial_number: A\n$unset: ['configuration.\"x.y\"', /configuration/b/c, location]\nconfiguration: {e: 4}",
    )

    assert fields(resolve()) == {"configuration": {"b": {"d": 2}, "e": 4}}


def test_unset_and_set_in_one_layer_replace_a_whole_map(declare: Declare, resolve: Resolve) -> None:
    declare("_defaults.yaml", "configuration: {a: 1}")
    declare("a.yaml", "serial_number: A\n$unset: [configuration]\nconfiguration: {b: 1}")

    assert fields(resolve()) == {"configuration": {"b": 1}}


@pytest.mark.parametrize(("until", "channel", "warned"), [("2026-06-15", 6, []), ("2026-06-14", 11, ["RC615"])])
def test_an_override_holds_up_to_its_last_day_and_then_warns(
    declare: Declare, resolve: Resolve, until: str, channel: int, warned: list[str]
) -> None:
    declare("_defaults.yaml", "configuration: {channel: 11, width: 20}")
    text = f"serial_number: A\n$override: {{configuration.channel: {{value: 6, until: {until}, reason: radar}}}}"
    declare("a.yaml", text)

    found = resolve()

    assert fields(found) == {"configuration": {"channel": channel, "width": 20}}
    assert [problem.code for problem in found.warnings] == warned


def test_an_override_beats_the_plain_value_of_its_own_layer_and_no_higher_one(
    declare: Declare, resolve: Resolve
) -> None:
    declare("_defaults.yaml", "location: low\n$override: {location: {value: high, until: 2027-01-01, reason: move}}")
    declare("a.yaml", "serial_number: A")
    declare("b.yaml", "serial_number: B\nlocation: own")

    found = resolve()

    assert fields(found, "A") == {"location": "high"}
    assert fields(found, "B") == {"location": "own"}


@pytest.mark.parametrize(
    "above",
    [
        "configuration: {ntp: {server: same}}",
        "configuration: {ntp: {other: 1}}",
        "configuration: {ntp: null}",
        "configuration: []",
        "$unset: [configuration]",
        "$unset: [configuration.ntp.server]",
        "$override: {configuration.ntp: {value: 1, until: 2099-01-01, reason: x}}",
    ],
)
def test_nothing_above_a_lock_may_speak_of_what_is_locked(declare: Declare, resolve: Resolve, above: str) -> None:
    declare("_defaults.yaml", "configuration: {ntp: {server: same}}\n$lock: [configuration.ntp]")
    declare("a.yaml", f"serial_number: A\n{above}")

    [problem] = [item for item in told(resolve()) if "RC610" in item]

    assert problem.startswith("a.yaml:2 RC610 A.configuration.ntp is locked at inventory/_defaults.yaml:2:9")


def test_a_lock_leaves_the_rest_alone_and_binds_groups_too(declare: Declare, resolve: Resolve) -> None:
    declare("_defaults.yaml", "configuration: {ntp: 1, dns: 1}\n$lock: [configuration.ntp]")
    declare("_groups/g.yaml", "group: g\nselect: {status: active}\nset:\n  configuration: {ntp: 2}\n")
    for serial in ("A", "B"):
        declare(f"{serial}.yaml", f"serial_number: {serial}\nstatus: active\nconfiguration: {{dns: 2}}")

    assert told(resolve()) == ["_groups/g.yaml:4 RC610 configuration.ntp is locked at inventory/_defaults.yaml:2:9"]


@pytest.mark.parametrize(
    "path",
    [
        "/a" + "/b" * 70,
        "/a" * 3_000,
        'configuration."\\ud800"',
        'configuration."\\u202e"',
        'configuration."$unset"',
        "$x",
        "",
    ],
)
def test_an_override_leads_nowhere_that_no_key_of_a_file_may(declare: Declare, resolve: Resolve, path: str) -> None:
    entry = json.dumps({path: {"value": 6, "until": "2099-01-01", "reason": "x"}})
    declare("a.yaml", f"serial_number: A\n$override: {entry.replace(chr(92) * 4, chr(92))}")

    assert any("is no path to a field" in problem or "RC2" in problem for problem in told(resolve()))


def test_folders_that_are_shown_alike_are_not_taken_for_each_other(declare: Declare, resolve: Resolve) -> None:
    for folder, serial in (("g\x1b", "A"), ("g\\x1b", "B")):
        declare(f"{folder}/_defaults.yaml", f"location: '{serial}'")
        declare(f"{folder}/a.yaml", serial_number=serial)

    found = resolve()

    assert [fields(found, serial) for serial in "AB"] == [{"location": "A"}, {"location": "B"}]


def test_a_secret_in_the_wrong_place_is_not_repeated(declare: Declare, resolve: Resolve) -> None:
    declare(
        "a.yaml", "serial_number: A\n$override: {configuration.psk: hunter22}\n$labels: hunter22\n$manage: hunter22"
    )
    declare("b.yaml", "serial_number: B\n$unset: [5, hunter.22.]\n$lock: hunter22\n$labels: {a: 22}")

    problems = told(resolve())

    assert len(problems) == 7
    assert not any("hunter" in problem for problem in problems)


def test_labels_are_inherited_and_select_groups(declare: Declare, resolve: Resolve) -> None:
    declare("_defaults.yaml", "$labels: {region: eu}")
    declare("fr/_defaults.yaml", "$labels: {region: fr}")
    declare("_groups/g.yaml", "group: g\nselect: {$labels: {region: fr}}\nset: {location: France}")
    declare("fr/a.yaml", serial_number="A")
    declare("fr/b.yaml", "serial_number: B\n$labels: {region: it}")
    declare("c.yaml", serial_number="C")

    found = resolve()

    assert [fields(found, serial) for serial in "ABC"] == [{"location": "France"}, {}, {}]


@pytest.mark.parametrize(
    ("select", "expected"),
    [
        ("{device_type: kiosk}", True),
        ("{device_type: [laptop, kiosk]}", True),
        ("{device_type: ki*}", True),
        ("{device_type: laptop}", False),
        ("{tags: lobby}", True),
        ("{tags: [store, lobby]}", True),
        ("{tags: store}", False),
        ("{configuration: {radio: {band: 5}}}", True),
        ("{configuration: {radio: {band: 5.0}}}", False),
        ("{configuration: {radio: {band: [2, 5]}}}", True),
        ("{device_type: kiosk, tags: store}", False),
        ("{serial_number: A}", True),
        ("{assigned_user: null}", True),
    ],
)
def test_a_group_selects_by_fields_tags_and_nested_values(
    declare: Declare, resolve: Resolve, select: str, *, expected: bool
) -> None:
    declare("_groups/g.yaml", f"group: g\nselect: {select}\nset: {{location: here}}")
    declare("kiosks/_defaults.yaml", "device_type: kiosk")
    declare("kiosks/a.yaml", "serial_number: A\ntags: [lobby]\nassigned_user: null\nconfiguration: {radio: {band: 5}}")

    assert ("location" in fields(resolve())) == expected


def test_groups_of_equal_priority_may_agree(declare: Declare, resolve: Resolve) -> None:
    for name in "gh":
        declare(f"_groups/{name}.yaml", f"group: {name}\nselect: {{status: active}}\nset: {{configuration: {{a: 1}}}}")
    declare("a.yaml", "serial_number: A\nstatus: active")

    assert fields(resolve())["configuration"] == {"a": 1}


@pytest.mark.parametrize("other", ["{a: 2}", "{a: {b: 1}}", "1"])
def test_groups_of_equal_priority_that_disagree_are_told_with_both_lines(
    declare: Declare, resolve: Resolve, other: str
) -> None:
    declare("_groups/g.yaml", "group: g\nselect: {status: active}\nset: {configuration: {a: 1}}")
    declare("_groups/h.yaml", f"group: h\nselect: {{status: active}}\nset: {{configuration: {other}}}")
    declare("a.yaml", "serial_number: A\nstatus: active")

    problems = [item for item in told(resolve()) if "RC609" in item]

    assert len(problems) == 1
    assert problems[0].startswith("_groups/g.yaml:3 RC609 the groups g and h have the same priority and disagree on ")
    assert "inventory/_groups/h.yaml:3" in problems[0]


def test_groups_of_equal_priority_may_not_manage_a_device_in_two_ways(declare: Declare, resolve: Resolve) -> None:
    declare("_groups/g.yaml", "group: g\nselect: {status: active}\nset: {$manage: pause}")
    declare("_groups/h.yaml", "group: h\nselect: {status: active}\nset: {$manage: observe}")
    declare("a.yaml", "serial_number: A\nstatus: active")

    [problem] = told(resolve())

    assert problem.startswith(
        "_groups/g.yaml:3 RC609 the groups g and h have the same priority and disagree on $manage"
    )


def test_texts_are_filled_with_the_serial_number_and_labels_and_nothing_else(
    declare: Declare, resolve: Resolve
) -> None:
    declare("_defaults.yaml", '$labels: {site: paris}\nname: "{$labels.site}-{serial_number}"')
    declare("a.yaml", 'serial_number: A\nconfiguration: {l: ["{serial_number}", "{other}", "{{serial}}", "{}"]}')

    assert fields(resolve()) == {
        "name": "paris-A",
        "configuration": {"l": ["A", "{other}", "{{serial}}", "{}"]},
    }


def test_an_escape_in_a_text_says_what_it_stands_for(declare: Declare, resolve: Resolve) -> None:
    text = r'''"\x24labels": {site: paris}
name: "\x7b$labels.site}-\u007bserial_number}"'''
    declare("a.yaml", f"serial_number: A\n{text}")
    declare("b.yaml", 'serial_number: B\nname: "\\x7bserial_number\\x7d"')
    declare("d.yaml", "serial_number: D\nname: x-{serial_number}")
    declare("c.yaml", 'serial_number: C\nconfiguration:\n  "\\x24lock": 1')

    found = resolve()

    assert [found.desired.devices[Serial(serial)].fields["name"] for serial in "ABD"] == ["paris-A", "B", "x-D"]
    assert [problem.code for problem in found.problems] == ["RC404"]


def test_a_wrong_value_in_a_shared_line_is_told_once_with_the_number_of_devices(
    declare: Declare, resolve: Resolve
) -> None:
    declare("_defaults.yaml", "location: x\nstatus: actve")
    for serial in ("A", "B", "C"):
        declare(f"{serial}.yaml", serial_number=serial)

    [problem] = told(resolve())

    assert problem.startswith('_defaults.yaml:2 RC406 status is "actve"; expected one of')
    assert problem.endswith("(on 3 devices, such as A)")


def test_a_missing_field_names_the_files_that_could_have_said_it(declare: Declare, tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text('{"required": ["location"]}')
    declare("_defaults.yaml", "status: active")
    declare("west/_defaults.yaml", "status: active")
    declare("west/a.yaml", serial_number="A")

    settings = Settings(tmp_path, inventory=tmp_path / "inventory", schema=tmp_path / "own.json")
    [problem] = validate(settings).problems

    assert (problem.source.file, problem.message) == ("inventory/west/a.yaml", "A has no location")
    assert problem.fix.endswith("or for more devices in inventory/west/_defaults.yaml, inventory/_defaults.yaml")


def test_a_field_that_the_server_executes_may_not_hide_in_a_layer(declare: Declare, resolve: Resolve) -> None:
    declare("_groups/g.yaml", "group: g\nselect: {status: active}\nset:\n  operation: reboot")
    declare("a.yaml", "serial_number: A\nstatus: active")

    [problem] = told(resolve())

    assert problem.startswith("_groups/g.yaml:4 RC403 operation would make newer servers execute it")


def test_only_some_files_are_resolved_with_all_layers_that_reach_them(declare: Declare, tmp_path: Path) -> None:
    declare("_defaults.yaml", "location: x")
    declare("_groups/g.yaml", "group: g\nselect: {location: x}\nset: {status: active}")
    declare("_groups/h.yaml", "group: h\nselect: {device_type: kiosk}\nset: {model: m}")
    declare("west/a.yaml", serial_number="A")
    declare("b.yaml", serial_number="B")
    settings = Settings(root=tmp_path, inventory=tmp_path / "inventory")

    found = validate(settings, [tmp_path / "inventory" / "west"])

    assert found.desired.devices.keys() == {"A"}
    assert fields(found) == {"location": "x", "status": "active"}
    assert found.warnings == ()


def manage(found: Validated) -> list[str]:
    devices: list[Device] = list(found.desired.devices.values())
    return [device.manage for device in devices]


def test_how_a_device_is_managed_is_inherited(declare: Declare, resolve: Resolve) -> None:
    declare("west/_defaults.yaml", "$manage: pause")
    declare("west/a.yaml", serial_number="A")
    declare("west/b.yaml", "serial_number: B\n$manage: apply")
    declare("c.yaml", serial_number="C")

    assert manage(resolve()) == ["apply", "pause", "apply"]
