"""What holds for layers whatever is in them."""

import json
from collections.abc import Mapping
from datetime import date
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from reconciler.canonical import canonical
from reconciler.inventory.document import Document
from reconciler.inventory.layering import Layering
from reconciler.inventory.merge import ListRules
from reconciler.inventory.origin import origin, statements
from reconciler.inventory.resolve import devices, resolve
from reconciler.inventory.yaml_core import parse
from reconciler.model import ABSENT, Json, Layer, Override, Value
from reconciler.pointer import get, join, parsed, split
from reconciler.printable import dotted

TODAY = date(2026, 6, 15)

names = st.sampled_from(["a", "b", "c", "x.y", 'q"/~'])
values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.integers(0, 3) | st.lists(st.integers(0, 3), max_size=2),
    lambda inner: st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
maps = st.dictionaries(names, values, max_size=3)
paths = st.lists(names, min_size=1, max_size=3).map(lambda keys: join(*keys))
overrides = st.builds(
    Override, paths, values, st.sampled_from([date(2026, 1, 1), date(2027, 1, 1)]), st.just("why"), st.just("/o")
)


@st.composite
def stacks(draw: st.DrawFn) -> tuple[Layer, ...]:
    layers = []
    for index in range(draw(st.integers(1, 4))):
        unset = {path: f"/$unset/{n}" for n, path in enumerate(draw(st.lists(paths, max_size=2, unique=True)))}
        layers.append(
            Layer(
                str(index),
                f"{index}.yaml",
                "",
                draw(maps),
                unset=unset,
                overrides=tuple(draw(st.lists(overrides, max_size=1))),
            )
        )
    return tuple(layers)


def made_of(layers: tuple[Layer, ...]) -> dict[str, Json]:
    """What a run makes of a device with these layers."""
    return Layering((), (), ListRules(), TODAY).resolve(layers[:-1], (), layers[-1], None).fields


def leaves(value: Mapping[str, Json], path: str = "") -> list[tuple[str, Json]]:
    found = []
    for key, inner in value.items():
        here = path + join(key)
        found += leaves(inner, here) if isinstance(inner, dict) and inner else [(here, inner)]
    return found


def spelled(value: Value) -> str:
    return "nothing" if value is ABSENT else canonical(value)


@given(stacks())
def test_the_winner_of_every_leaf_says_its_value(layers: tuple[Layer, ...]) -> None:
    fields = made_of(layers)

    for path, value in leaves(fields):
        if value == {}:  # what is left of a map whose keys were taken away
            continue
        said = origin(layers, path, TODAY)
        assert said is not None
        if said.verb == "overrides":
            assert said.override is not None
            assert spelled(get({"o": said.override.value}, "/o" + path.removeprefix(said.override.path))) == spelled(
                value
            )
        else:
            assert said.verb == "sets"
            assert spelled(get(said.layer.values, path)) == spelled(value)


@given(stacks(), paths)
def test_what_no_layer_has_is_either_unset_or_never_spoken_of(layers: tuple[Layer, ...], path: str) -> None:
    fields = made_of(layers)
    said = origin(layers, path, TODAY)

    if said is None:
        assert get({"all": fields}, "/all" + path) == get({"all": {}}, "/all" + path)
    assert said is None or said in list(statements(layers, path, TODAY))


@given(st.lists(names, min_size=1, max_size=4))
def test_a_path_is_read_as_it_is_printed_and_as_a_pointer(keys: list[str]) -> None:
    pointer = join(*keys)

    assert parsed(dotted(pointer)) == parsed(pointer) == pointer
    assert split(pointer) == tuple(keys)


def document(file: str, value: Json) -> Document:
    read = parse(json.dumps(value), file)
    return Document(file, "/" + file, read.value, read.damaged, read.values)


plain = st.dictionaries(st.sampled_from(["a", "b", "c"]), values, max_size=3)


@given(
    st.dictionaries(st.sampled_from(["i/_defaults.yaml", "i/x/_defaults.yaml", "i/x/y/_defaults.yaml"]), plain),
    st.dictionaries(st.sampled_from(["g", "h", "k"]), st.tuples(st.integers(0, 1), plain)),
    st.dictionaries(st.sampled_from(["i/d.yaml", "i/x/e.yaml", "i/x/y/f.yaml", "i/z/g.yaml"]), plain),
    st.randoms(),
)
def test_the_order_of_files_means_nothing(
    defaults: dict[str, dict[str, Json]],
    groups: dict[str, tuple[int, dict[str, Json]]],
    files: dict[str, dict[str, Json]],
    random: Random,
) -> None:
    low = [document(file, value) for file, value in defaults.items()]
    middle = [
        document(
            f"i/_groups/{name}.yaml", {"group": name, "priority": rank, "select": {"serial_number": "*"}, "set": value}
        )
        for name, (rank, value) in groups.items()
    ]
    own = [document(file, {"serial_number": file[-6:-5], **value}) for file, value in files.items()]

    def outcome() -> tuple[object, object]:
        candidates, findings = resolve(own, defaults=low, groups=middle, today=TODAY, known=["/serial_number"])
        said = {(item.code, frozenset([(item.file, item.pointer), item.also])) for item in findings}
        return {serial: canonical(device.fields) for serial, device in devices(candidates).items()}, said

    first = outcome()
    for documents in (low, middle, own):
        random.shuffle(documents)

    assert outcome() == first
