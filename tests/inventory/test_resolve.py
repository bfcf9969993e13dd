import pytest

from reconciler.inventory.document import Document
from reconciler.inventory.resolve import devices, resolve
from reconciler.inventory.yaml_core import parse
from reconciler.model import Device, Layer, Serial, Source


def document(text: str, file: str = "a.yaml") -> Document:
    parsed = parse(text, file)
    return Document(file, file, parsed.value, parsed.damaged, parsed.values)


def told(*texts: str) -> list[tuple[str, str]]:
    _, findings = resolve(document(text, f"{index}.yaml") for index, text in enumerate(texts))
    return [(finding.code, finding.pointer) for finding in findings]


def test_a_mapping_with_a_serial_number_is_a_device() -> None:
    candidates, findings = resolve([document("# AP\nserial_number: AP-1\nstatus: active\n")])

    assert findings == []
    assert devices(candidates) == {
        Serial("AP-1"): Device(
            Serial("AP-1"),
            {"status": "active"},
            Source("a.yaml", 2, 1),
            (Layer("device", "a.yaml", "", {"status": "active"}),),
        )
    }


def test_a_list_under_devices_is_as_many_devices() -> None:
    candidates, findings = resolve([document("devices:\n- serial_number: A\n- serial_number: B\n  name: b\n")])

    assert findings == []
    assert [(d.serial, d.fields, d.source, d.layers[-1].pointer) for d in devices(candidates).values()] == [
        ("A", {}, Source("a.yaml", 2, 3), "/devices/0"),
        ("B", {"name": "b"}, Source("a.yaml", 3, 3), "/devices/1"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("RC108", "")),
        ("# nothing yet\n", ("RC108", "")),
        ("---\n", ("RC108", "")),
        ("[]", ("RC301", "")),
        ("- serial_number: A", ("RC301", "")),
        ("AP-1", ("RC301", "")),
        ("5", ("RC301", "")),
        ("devices: []", ("RC303", "/devices")),
        ("devices:", ("RC303", "/devices")),
        ("devices: {serial_number: A}", ("RC303", "/devices")),
        ("devices: [A]", ("RC303", "/devices/0")),
        ("devices: [{serial_number: A}]\nname: x", ("RC302", "/name")),
        ("name: x", ("RC304", "/serial_number")),
        ("{}", ("RC304", "/serial_number")),
        ("serial_number:", ("RC305", "/serial_number")),
        ("serial_number: 0123", ("RC305", "/serial_number")),
        ("serial_number: 1e5", ("RC305", "/serial_number")),
        ("serial_number: true", ("RC305", "/serial_number")),
        ("serial_number: [A]", ("RC305", "/serial_number")),
        ("$layer: x\nserial_number: A", ("RC404", "/$layer")),
        ("serial_number: A\ntags: [{$append: 1}]", ("RC404", "/tags/0/$append")),
        ("serial_number: A\nconfiguration: {a: {$b: 1}}", ("RC404", "/configuration/a/$b")),
    ],
)
def test_other_shapes_are_refused(text: str, expected: tuple[str, str]) -> None:
    assert told(text) == [expected]


@pytest.mark.parametrize(
    "serial",
    [".", "..", "", " A", "A ", "-A", "_A", "A/B", "A%2FB", "A\n", "Ä1", "\uff21", "A?x", "A#", "a" * 129],
)
def test_a_malformed_serial_is_refused(serial: str) -> None:
    value = {"serial_number": serial}
    _, [finding] = resolve([Document("a.yaml", "a.yaml", dict(value), frozenset(), parse("a: 1", "a").values)])

    assert (finding.code, finding.pointer) == ("RC306", "/serial_number")


@pytest.mark.parametrize("serial", ["A", "0", "ABC123456789", "AP-1_x.y", "a" * 128, "0123", "a..b"])
def test_a_well_formed_serial_is_taken(serial: str) -> None:
    assert told(f'serial_number: "{serial}"') == []


def test_the_same_serial_twice_is_told_with_both_places() -> None:
    texts = ["serial_number: A", "devices: [{serial_number: B}, {serial_number: A}]", "serial_number: A"]
    _, findings = resolve(document(text, f"{index}.yaml") for index, text in enumerate(texts))

    assert [(f.code, f.file, f.pointer, f.also) for f in findings] == [
        ("RC307", "1.yaml", "/devices/1/serial_number", ("0.yaml", "/serial_number")),
        ("RC307", "2.yaml", "/serial_number", ("0.yaml", "/serial_number")),
    ]


def test_serials_that_differ_only_in_case_are_told() -> None:
    assert told("serial_number: ap-1", "serial_number: AP-1") == [("RC308", "/serial_number")]


def test_a_misspelled_serial_number_key_is_recognised() -> None:
    _, [finding] = resolve([document("serial_nubmer: A")])

    assert finding.fix == 'rename "serial_nubmer" to serial_number'
