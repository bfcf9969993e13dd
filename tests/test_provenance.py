"""What `explain` knows of a device: layers, state, plan and git together."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from conftest import Declare

from reconciler.config import ApiSettings, Settings
from reconciler.errors import InventoryError, Usage
from reconciler.model import ABSENT, Action, Draft, EntryKind, Explanation, Holder, Json, Nested, Provenance, Serial
from reconciler.policy import OnRemovedSettings
from reconciler.provenance import MASK, explain
from reconciler.state.sqlite import SqliteBackend

TODAY = date(2026, 6, 15)
AT = "2026-06-14T09:14:00.000Z"
SCHEMA = """{"properties": {"tags": {"x-merge": "set"}, "ssids": {"x-merge-key": "name"},
    "configuration": {"properties": {"password": {"writeOnly": true}}}}}"""


class Fleet:
    """An inventory and a state in `root`, and what is said of device A."""

    def __init__(self, root: Path) -> None:
        (root / "schema.json").write_text(SCHEMA)
        self.settings = Settings(
            root, inventory=root / "inventory", schema=root / "schema.json", state=f"sqlite:{root / 'state.db'}"
        )
        self._backend = SqliteBackend(root / "state.db")

    def record(self, *entries: tuple[EntryKind, Mapping[str, Json]], run: str = "run-1", serial: str = "A") -> None:
        lease = self._backend.acquire(Holder("ci", "elsewhere", "", 7, ""), ttl=900)
        began = Draft(EntryKind.RUN, AT, run, data={"by": f"ci/{run}", "commit": "c0ffee", "url": f"https://ci/{run}"})
        self._backend.append(lease, [began, *(Draft(kind, AT, run, Serial(serial), data) for kind, data in entries)])
        self._backend.release(lease)

    def put(
        self,
        outcome: EntryKind = EntryKind.APPLIED,
        *,
        run: str = "run-1",
        serial: str = "A",
        result: Mapping[str, Json] | None = None,
        **fields: Json,
    ) -> None:
        changes: list[Json] = [{"path": f"/{name}", "after": value} for name, value in fields.items()]
        intent: Mapping[str, Json] = {"action": "update", "fields": changes, "body": fields}
        answer: Mapping[str, Json] = {"attempts": 1, "status": 200, **(result or {})}
        self.record((EntryKind.INTENT, intent), (outcome, answer), run=run, serial=serial)

    def told(self, path: str = "", serial: str = "A") -> Explanation:
        return explain(self.settings, serial, path, today=TODAY)

    def value(self, path: str) -> Provenance:
        [found] = self.told(path).values
        return found


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


def lines(item: Provenance) -> list[tuple[Any, ...]]:
    return [
        (said.source.file.removeprefix("inventory/"), said.source.line, said.verb, said.value, said.wins)
        for said in item.said
    ]


def test_every_layer_that_speaks_is_told_in_order_with_its_line(declare: Declare, fleet: Fleet) -> None:
    declare("_defaults.yaml", "configuration:\n  channel: auto\n")
    declare("_groups/g.yaml", "group: g\nselect: {type: kiosk}\nset:\n  configuration: {channel: 11}\n")
    declare("a.yaml", "serial_number: A\ntype: kiosk\nconfiguration:\n  channel: 6\n")

    item = fleet.value("configuration.channel")

    assert item.value == 6
    assert lines(item) == [
        ("_defaults.yaml", 2, "sets", "auto", False),
        ("_groups/g.yaml", 4, "sets", 11, False),
        ("a.yaml", 4, "sets", 6, True),
    ]


def test_a_list_that_layers_add_to_comes_from_all_that_add(declare: Declare, fleet: Fleet) -> None:
    declare("_defaults.yaml", "tags: [low]\nssids: [{name: x, vlan: 1}]\n")
    declare("west/_defaults.yaml", "$unset: [tags]\ntags: [west]\n")
    declare("west/a.yaml", "serial_number: A\ntags: [own]\nssids: [{name: x, vlan: 2}]\n")

    assert [line[0] for line in lines(fleet.value("tags")) if line[-1]] == ["west/_defaults.yaml", "west/a.yaml"]
    assert [line[0] for line in lines(fleet.value("ssids")) if line[-1]] == ["_defaults.yaml", "west/a.yaml"]
    assert fleet.value("/ssids/0/vlan").path == "/ssids"


def test_a_template_is_told_as_it_is_written_and_as_it_reads(declare: Declare, fleet: Fleet) -> None:
    declare("_defaults.yaml", '$labels: {site: paris}\nname: "{$labels.site}-{serial_number}"')
    declare("a.yaml", serial_number="A")

    item = fleet.value("name")

    assert (item.value, item.said[0].value) == ("paris-A", "{$labels.site}-{serial_number}")
    assert [(label.name, label.text, str(label.source)) for label in fleet.told().labels] == [
        ("site", "paris", "inventory/_defaults.yaml:1:17")
    ]


def test_what_words_did_is_told_too(declare: Declare, fleet: Fleet) -> None:
    declare("_defaults.yaml", "configuration: {ntp: 1, dns: 2, gone: 3}\n$lock: [configuration.ntp]\n$manage: observe")
    text = """
        serial_number: A
        $unset: [configuration.gone]
        $override:
          configuration.dns: {value: 9, until: 2026-01-31, reason: radar}
        """
    declare("a.yaml", text)

    told = fleet.told("configuration")

    assert [(item.path, item.value) for item in told.values] == [
        ("/configuration/ntp", 1),
        ("/configuration/dns", 2),
        ("/configuration/gone", ABSENT),
    ]
    assert [[said.verb for said in item.said] for item in told.values] == [
        ["locks", "sets"],
        ["sets", "overrode"],
        ["sets", "unsets"],
    ]
    assert (told.manage, str(told.managed_at)) == ("observe", "inventory/_defaults.yaml:3:10")


def test_without_a_state_nothing_was_applied_and_the_plan_adopts(
    declare: Declare, fleet: Fleet, tmp_path: Path
) -> None:
    declare("a.yaml", "serial_number: A\nstatus: active")

    told = fleet.told()

    assert (told.standing, told.carried, told.action) == ("", None, Action.ADOPT)
    assert [(item.carried, item.change and item.change.after) for item in told.values] == [(None, "active")]
    assert not (tmp_path / "state.db").exists()


def test_a_value_was_applied_by_the_run_that_was_about_it(declare: Declare, fleet: Fleet) -> None:
    fleet.put(run="run-1", status="active", location="Lyon")
    fleet.put(run="run-2", location="Paris")
    fleet.put(EntryKind.REJECTED, run="run-3", status="inactive")
    declare("a.yaml", "serial_number: A\nstatus: inactive\nlocation: Paris")

    status, location = fleet.value("status"), fleet.value("location")

    assert status.carried
    assert location.carried
    assert (status.applied, status.carried.run, status.carried.by) == ("active", "run-1", "ci/run-1")
    assert (location.applied, location.carried.run, location.carried.url) == ("Paris", "run-2", "https://ci/run-2")
    assert (location.carried.commit, location.carried.at) == ("c0ffee", AT)
    assert status.change
    assert (status.change.before, status.change.after) == ("active", "inactive")
    assert location.change is None


def test_how_a_value_stands_is_told(declare: Declare, fleet: Fleet) -> None:
    declare("a.yaml", "serial_number: A\na: 1\nb: 1\nc: 1\nd: 1")
    fleet.put(EntryKind.DIVERGENT, a=1, result={"divergence": [{"path": "/a", "sent": 1, "echoed": 2}]})
    fleet.put(EntryKind.ACCEPTED, b=1)
    fleet.put(EntryKind.UNKNOWN, c=1, result={"reason": "no answer"})
    a, b, c, d = fleet.told().values

    assert fleet.told().standing == "unknown"
    assert [item.echoed for item in a.divergence] == [2]
    assert [(item.unconfirmed, item.unknown) for item in (a, b, c, d)] == [
        (False, False),
        (True, False),
        (False, True),
        (False, False),
    ]
    assert a.carried
    assert a.carried.kind is EntryKind.DIVERGENT
    assert c.carried is None


def test_a_device_that_left_the_inventory_is_still_known_from_the_state(declare: Declare, fleet: Fleet) -> None:
    declare("b.yaml", serial_number="B")
    fleet.put(status="active")

    told = fleet.told()

    assert (told.source, told.action) == (None, Action.RELEASE)
    assert [(item.path, item.value, item.applied) for item in told.values] == [("/status", ABSENT, "active")]


def test_a_device_that_is_replaced_names_its_successor_and_the_other_way_round(declare: Declare, fleet: Fleet) -> None:
    declare("b.yaml", "serial_number: B\n$replaces: A\nstatus: active")
    fleet.put(status="active")

    old, new = fleet.told(), fleet.told(serial="B")

    assert (old.source, old.replaced_by, old.action) == (None, "B", None)
    assert (new.replaces, new.replaced_by, new.action) == ("A", None, Action.REPLACE)


def test_a_device_that_is_to_be_decommissioned_gets_one_last_put(declare: Declare, fleet: Fleet) -> None:
    declare("b.yaml", serial_number="B")
    fleet.put(status="active")
    removed = OnRemovedSettings(device="decommission", patch={"status": "retired"})
    told = explain(replace(fleet.settings, on_removed=removed), "A", today=TODAY)

    assert told.action is Action.DECOMMISSION
    assert [(item.path, item.change and item.change.after) for item in told.values] == [("/status", "retired")]


def test_a_secret_is_nowhere(declare: Declare, fleet: Fleet) -> None:
    declare("_defaults.yaml", "configuration: {password: hunter1, port: 1}")
    declare("_groups/g.yaml", "group: g\nselect: {status: active}\nset: {configuration: {password: hunter2}}")
    override = "{configuration.password: {value: hunter3, until: 2026-01-01, reason: leaked}}"
    declare("a.yaml", f"serial_number: A\nstatus: active\nconfiguration: {{password: hunter4}}\n$override: {override}")
    seen = {"divergence": [{"path": "/configuration/password", "sent": "hunter5", "echoed": "hunter6"}]}
    fleet.put(EntryKind.DIVERGENT, configuration={"password": "hunter5", "port": 2}, result=seen)  # type: ignore[arg-type]  # JSON

    told = fleet.told("configuration")

    assert "hunter" not in repr(told)
    assert [item.value for item in told.values] == [MASK, 1]
    assert [said.value for said in told.values[0].said] == [MASK] * 4


def test_what_was_a_secret_when_it_was_recorded_stays_one(declare: Declare, fleet: Fleet) -> None:
    declare("a.yaml", "serial_number: A\npin: 1234")
    change: Json = {"path": "/pin", "after": 1234, "sensitive": True}
    fleet.record(
        (EntryKind.INTENT, {"action": "adopt", "fields": [change], "body": {"pin": 1234}}),
        (EntryKind.APPLIED, {"status": 200, "attempts": 1}),
    )

    assert "1234" not in repr(fleet.told())


@pytest.mark.parametrize(("kept", "nested"), [(False, "replace"), (True, "merge")])
def test_a_key_that_is_removed_goes_or_stays_by_what_the_server_does(
    declare: Declare, fleet: Fleet, *, kept: bool, nested: Nested
) -> None:
    fleet.put(configuration={"a": 1, "b": 2})
    declare("a.yaml", "serial_number: A\nconfiguration: {a: 1}")
    settings = Settings(
        **{name: getattr(fleet.settings, name) for name in ("root", "inventory", "schema", "state")},
        api=ApiSettings(nested=nested),
    )

    [item] = explain(settings, "A", "configuration.b", today=TODAY).values

    assert (item.value, item.applied, item.kept) == (ABSENT, 2, kept)
    assert item.change
    assert item.change.after is ABSENT


@pytest.mark.parametrize(
    ("serial", "path", "hint"),
    [
        ("AP-0O01", "", "AP-0O01 is neither in the inventory nor in the state; did you mean AP-0001?"),
        (
            "xyz",
            "",
            "xyz is neither in the inventory nor in the state; `reconciler plan --full` and `state list` name those",
        ),
        ("AP-0001", "configuration.chanel", "AP-0001 has no configuration.chanel; did you mean configuration.channel?"),
        ("AP-0001", "channel", "AP-0001 has no channel; did you mean configuration.channel?"),
        ("AP-0001", "/tags/7", "AP-0001 has no tags.7; did you mean tags?"),
        ("AP-0001", "status.on", "AP-0001 has no status.on; did you mean status?"),
        ("AP-0001", "zzzzzz", "AP-0001 has no zzzzzz; `reconciler explain AP-0001` shows all that it has"),
        ("AP-0001", "a..b", "'a..b' is no path; write it like configuration.channel"),
    ],
)
def test_what_is_nowhere_is_told_with_what_was_meant(
    declare: Declare, fleet: Fleet, serial: str, path: str, hint: str
) -> None:
    declare("a.yaml", "serial_number: AP-0001\nstatus: active\ntags: [x]\nconfiguration: {channel: 1}")

    with pytest.raises(Usage) as told:
        fleet.told(path, serial)

    assert str(told.value) == hint


def test_an_inventory_with_problems_is_not_explained(declare: Declare, fleet: Fleet) -> None:
    declare("a.yaml", "serial_number: A\n$unset: [nothing]")

    with pytest.raises(InventoryError):
        fleet.told()
