"""What `explain` says of any inventory: the winner that it names is where the value comes from."""

import json
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from reconciler.canonical import canonical
from reconciler.config import Settings
from reconciler.desired import validate
from reconciler.inventory.merge import ListRules, merged
from reconciler.inventory.origin import tips
from reconciler.inventory.yaml_core import parse
from reconciler.model import ABSENT, Json, Provenance, Said, Value
from reconciler.pointer import get, join, patched, split
from reconciler.printable import dotted
from reconciler.provenance import explain

TODAY = date(2026, 6, 15)
SCHEMA: Json = {
    "properties": {
        "tags": {"x-merge": "set"},
        "a": {"properties": {"ports": {"x-merge-key": "name"}}},
    }
}
RULES = ListRules(frozenset(["/tags"]), {"/a/ports": "name"})
LOWEST: dict[str, Json] = {
    "$labels": {"site": "paris"},
    "tags": ["low"],
    "a": {"b": 1, "c": {"x.y": 2}, "ports": [{"name": "p", "speed": 1}]},
    "b": {"a": "{$labels.site}"},
}

keys = st.sampled_from(["a", "b", "c", "x.y"])
scalars: st.SearchStrategy[Json] = st.sampled_from(
    [None, 1, "{serial_number}", "at {$labels.site}", [1, "{serial_number}"]]
)
values = st.recursive(scalars, lambda inner: st.dictionaries(keys, inner, max_size=2), max_leaves=4)
ports: st.SearchStrategy[Json] = st.lists(
    st.builds(lambda name, key: {"name": name, key: 1}, st.sampled_from(["p", "q"]), keys), max_size=2
)
paths = st.sampled_from(["/a", "/a/b", "/a/c", "/b/a", "/tags", "/a/ports", "/a/c/x.y"])
sets: st.SearchStrategy[Json] = st.lists(st.sampled_from(["low", "high", "own"]), max_size=2)


@st.composite
def layers(draw: st.DrawFn) -> dict[str, Json]:
    layer: dict[str, Json] = draw(st.dictionaries(keys, values, max_size=2))
    if draw(st.booleans()):
        layer["tags"] = draw(sets)
    inner = layer.get("a", {})
    if draw(st.booleans()) and isinstance(inner, dict):
        layer["a"] = {**inner, "ports": draw(ports)}
    if not draw(st.integers(0, 3)):
        layer["$unset"] = [*draw(st.lists(paths, min_size=1, max_size=2, unique=True))]
    if draw(st.booleans()):
        until = draw(st.sampled_from(["2026-01-31", "2027-01-31"]))
        layer["$override"] = {
            draw(paths): {
                "value": draw(values | ports | ports.map(lambda items: {"ports": items})),
                "until": until,
                "reason": "radar",
            }
        }
    return layer


inventories = st.fixed_dictionaries(
    {"folder": layers(), "group": layers(), "higher": layers(), "file": layers(), "A": layers(), "B": layers()}
)


def write(root: Path, said: dict[str, dict[str, Json]]) -> Settings:
    def file(name: str, value: Json) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(json.dumps(value, indent=1))

    def group(name: str, priority: int) -> Json:
        return {"group": name, "priority": priority, "select": {"$labels": {"site": "*"}}, "set": said[name]}

    file("schema.json", SCHEMA)
    file("inventory/_defaults.yaml", LOWEST)
    file("inventory/west/_defaults.yaml", said["folder"])
    file("inventory/_groups/group.yaml", group("group", 0))
    file("inventory/_groups/higher.yaml", group("higher", 1))
    devices: list[Json] = [{"serial_number": serial, **said[serial]} for serial in ("A", "B")]
    file("inventory/west/devices.yaml", {"defaults": said["file"], "devices": devices})
    return Settings(root, inventory=root / "inventory", schema=root / "schema.json")


@settings(phases=set(Phase) - {Phase.explain})
@given(inventories)
def test_the_winner_of_every_leaf_is_where_its_value_comes_from(said: dict[str, dict[str, Json]]) -> None:
    with TemporaryDirectory() as folder:
        used = write(Path(folder), said)
        validated = validate(used, today=TODAY)
        assume(not validated.problems)

        for serial, device in validated.desired.devices.items():
            told = explain(used, serial, today=TODAY)
            declared = [item for item in told.values if item.value is not ABSENT]
            assert [item.path for item in declared] == list(tips(device.fields))
            for item in declared:
                assert spelled(item.value) == spelled(get(device.fields, item.path))
                assert spelled(made(item, serial)) == spelled(item.value)
                assert [
                    spot for spot in item.said if spot.wins and spot.verb != "unsets" and not stands(used.root, spot)
                ] == []


@settings(phases=set(Phase) - {Phase.explain})
@given(inventories)
def test_whatever_was_said_and_is_not_there_has_somebody_who_took_it_away(said: dict[str, dict[str, Json]]) -> None:
    with TemporaryDirectory() as folder:
        used = write(Path(folder), said)
        assume(not validate(used, today=TODAY).problems)

        for item in explain(used, "A", today=TODAY).values:
            if item.value is ABSENT:
                live = [it for it in item.said if it.verb not in {"overrode", "locks"}]
                assert not live or (live[-1].wins and (live[-1].verb == "unsets" or live[-1].path != item.path))


@settings(phases=set(Phase) - {Phase.explain})
@given(inventories)
def test_every_path_that_is_shown_can_be_asked_for(said: dict[str, dict[str, Json]]) -> None:
    with TemporaryDirectory() as folder:
        used = write(Path(folder), said)
        assume(not validate(used, today=TODAY).problems)
        told = explain(used, "A", today=TODAY)

        for item in told.values[:2]:
            [again] = explain(used, "A", dotted(item.path), today=TODAY).values
            assert again == item


def made(item: Provenance, serial: str) -> Json:
    """What the winners of a value make of it, by the rules of docs/inventory.md."""
    winners = [said for said in item.said if said.wins]
    result: dict[str, Json] = {}
    for said in winners:
        if said.verb == "unsets":
            result = patched(result, [(said.path, ABSENT)])
            continue
        if said.verb == "overrides":
            result = patched(result, [(said.path, said.value)])
        else:
            assert said.path == item.path
            result = merged(result, patched({}, [(item.path, said.value)]), RULES)
    assert winners
    assert len(winners) == 1 or item.path in RULES or item.value == {}
    value = get(result, item.path)
    assert value is not ABSENT
    filled: Json = json.loads(json.dumps(value).replace("{serial_number}", serial).replace("{$labels.site}", "paris"))
    return filled


def stands(root: Path, said: Said) -> bool:
    """Whether what is said is what stands at that place of that file."""
    read = parse((root / said.source.file).read_text(), said.source.file, places=True)
    here = [where for where, place in read.values.items() if place == (said.source.line, said.source.column)]
    return any(spelled(found) == spelled(said.value) for found in at(read.value, here))


def at(document: Value, pointers: Sequence[str]) -> Iterator[Value]:
    for pointer in pointers:
        value: Value = document
        for key in split(pointer):
            value = (
                value[int(key)]
                if isinstance(value, list)
                else get(value, join(key))
                if isinstance(value, dict)
                else ABSENT
            )
        yield value


def spelled(value: Value) -> str:
    return "" if value is ABSENT else canonical(value)
