import json
import math

import pytest
import yaml
import yamlcore
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.inventory.document import MAX_PROBLEMS, Parsed
from reconciler.inventory.yaml_core import parse, places
from reconciler.model import ABSENT, Json


def value(text: str) -> Json:
    parsed = parse(text, "a.yaml")
    assert parsed.problems == ()
    assert parsed.value is not ABSENT
    return parsed.value


def told(text: str) -> list[str]:
    return [f"{p.source.line}:{p.source.column} {p.code}" for p in parse(text, "a.yaml").problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NO", "NO"),
        ("yes", "yes"),
        ("on", "on"),
        ("22:22", "22:22"),
        ("2024-01-15", "2024-01-15"),
        ("2024-01-15T09:30:00Z", "2024-01-15T09:30:00Z"),
        ("00:1B:44:11:3A:B7", "00:1B:44:11:3A:B7"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("1e", "1e"),
        (".", "."),
        ("-", [None]),
        ("=", "="),
        ("tRUE", "tRUE"),
        ("nUll", "nUll"),
        ("+0o7", "+0o7"),
        ("0o8", "0o8"),
        ("0xg", "0xg"),
        ("true", True),
        ("TRUE", True),
        ("False", False),
        ("~", None),
        ("Null", None),
        ("0123", 123),
        ("-17", -17),
        ("+5", 5),
        ("0o17", 15),
        ("0xFf", 255),
        ("9007199254740991", 2**53 - 1),
        ("1.5", 1.5),
        ("1.", 1.0),
        (".5", 0.5),
        ("-1.5e-3", -0.0015),
        ("1e3", 1000.0),
        ("1.0", 1.0),
        ('"5"', "5"),
        ("'true'", "true"),
        ('""', ""),
        ('"a\\tb\\n"', "a\tb\n"),
        ("|\n a\n b\n", "a\nb\n"),
        ("grüße 日本 🖨", "grüße 日本 🖨"),
    ],
)
def test_scalars_mean_what_yaml_1_2_says(text: str, expected: Json) -> None:
    found = value(text)

    assert (found, type(found)) == (expected, type(expected))


def test_an_empty_value_is_null_and_an_empty_text_is_nothing() -> None:
    assert value("a:\nb: 1") == {"a": None, "b": 1}
    assert parse("# only a comment\n", "a.yaml").value is ABSENT
    assert parse("", "a.yaml") == Parsed(ABSENT, (), frozenset(), {}, {}, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3", ["3:1 RC202"]),
        ("a: {b: 1, c: 2, b: 3}", ["1:17 RC202"]),
        ("a: 1\n'a': 2", ["2:1 RC202"]),
        ("a: &x 1", ["1:4 RC203"]),
        ("a: &x [1]", ["1:4 RC203"]),
        ("a: *x", ["1:4 RC203"]),
        ("&k a: 1", ["1:1 RC203"]),
        ("*x : 1", ["1:1 RC207", "1:1 RC203"]),
        ("a:\n  <<: {b: 1}", ["2:3 RC204"]),
        ("a: &x b", ["1:4 RC203"]),
        ("[a, &x b]", ["1:5 RC203"]),
        ("[a, &x 'b']", ["1:5 RC203"]),
        ("a: !!str 1", ["1:4 RC205"]),
        ("a: !!str b", ["1:4 RC205"]),
        ("a: ! b", ["1:4 RC205"]),
        ("a: !x 'b'", ["1:4 RC205"]),
        ("[a, !x b]", ["1:5 RC205"]),
        ("!!str a: b", ["1:1 RC205"]),
        ("a: ! 1", ["1:4 RC205"]),
        ("a: !x [1]", ["1:4 RC205"]),
        ("!!map\na: 1", ["1:1 RC205"]),
        ("%YAML 1.1\n---\na: 1", ["1:1 RC205"]),
        ("%TAG ! tag:x,2000:\n---\na: 1", ["1:1 RC205"]),
        ("a: 1\n---\nb: 2", ["2:1 RC206"]),
        ("1: a", ["1:1 RC207"]),
        ("true: a", ["1:1 RC207"]),
        ("? \n: a", ["1:2 RC207"]),
        (".nan: a", ["1:1 RC207"]),
        ("? [a, b]\n: 1\nc: 2\nc: 3", ["1:3 RC207", "4:1 RC202"]),
        ("a: .nan", ["1:4 RC208"]),
        ("a: [1, -.INF]", ["1:8 RC208"]),
        ("a: 1e999", ["1:4 RC208"]),
        ("a: 9007199254740992", ["1:4 RC209"]),
        ("a: -9007199254740992", ["1:4 RC209"]),
        ("a: 0xfffffffffffffff", ["1:4 RC209"]),
        (f"a: {'9' * 10_000}", ["1:4 RC209"]),
        ("a: b: c", ["1:5 RC201"]),
        ("a: [1", ["1:4 RC201"]),
        ("a: 'b", ["1:4 RC201"]),
        ("a:\n\tb: 1", ["2:1 RC201"]),
        ("a: @b", ["1:4 RC201"]),
        ('a: "\\ud800"', ["1:7 RC201"]),
        ('a: "\\q"', ["1:5 RC201"]),
        ("a: 1\nb:2\nc: 3", ["2:1 RC201"]),
        ("a: {b:2}", ["1:5 RC212"]),
        ("a: {b: 1, c:d, e: 2}", ["1:11 RC212"]),
        ("{a:1}", ["1:2 RC212"]),
        ("a: 1\nb:2", ["2:1 RC201"]),
        ("a:\n- b: 1\n  c:2\n- b: 3", ["3:3 RC201"]),
        ("a: 1\n<<<<<<< HEAD\nb: 2\n=======\nb: 3\n>>>>>>> other", ["2:1 RC201"]),
    ],
)
def test_what_would_need_a_guess_is_refused_at_its_place(text: str, expected: list[str]) -> None:
    assert told(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a:\n\tb: 1", "a tab is used as indentation"),
        ("a: 1\n\tb: 1", "a tab is used as indentation"),
        ("<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> other", "a merge conflict is not resolved"),
    ],
)
def test_what_people_do_to_files_is_called_by_its_name(text: str, words: str) -> None:
    [problem] = parse(text, "f").problems

    assert problem.message == f"this is not YAML: {words}"


@pytest.mark.parametrize(
    "text", ['a: {"b:2"}', "a: {b:2: 3}", "a: {b:2: ~}", "a: {b:2: ''}", "a: {b: }", "a:\n  'b:c':\n"]
)
def test_a_key_may_hold_a_colon_where_it_is_quoted_or_has_a_value(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize(
    "character", ["\0", "\x1b", "\x7f", "\x85", "\r", "\u2028", "\u202e", "\u2066", "\u200b", "\u200d"]
)
def test_characters_that_hide_are_refused_raw_and_escaped(character: str) -> None:
    escaped = f"\\u{ord(character):04x}"

    assert told(f"# ok\na: é{character}b\n") == ["2:5 RC211"]
    assert told(f'a: 1\nb: "x{escaped}"') == ["2:4 RC211"]
    assert told(f'"x{escaped}": 1') == ["1:1 RC211"]


@pytest.mark.parametrize("character", ["\ufeff", "\u00ad", "\ufffe", "\U000e0041", "\u3164", "\u2800", "\ufdd0"])
def test_so_are_stray_boms_soft_hyphens_noncharacters_tags_and_blank_letters(character: str) -> None:
    assert told(f"a: b{character}c") == ["1:5 RC211"]


def test_tabs_and_line_breaks_in_values_are_fine() -> None:
    assert value("a: |\n  x\ty\n  z\nb: 1\t# tab") == {"a": "x\ty\nz\n", "b": 1}


def test_a_forbidden_character_is_told_once_with_its_number_and_the_rest_is_read() -> None:
    parsed = parse("a: \u200bx\nb: \u200by\nc: &z 1\n", "a.yaml")

    assert [p.code for p in parsed.problems] == ["RC211", "RC203"]
    assert "U+200B ZERO WIDTH SPACE (and 1 more in this file)" in parsed.problems[0].message
    assert parsed.damaged == {"/a", "/b"}


def test_all_problems_of_a_text_are_told_at_once() -> None:
    assert told("a: 1\na: 2\nb: &x 1\n5: .inf\nc: [!t 1, *y]") == [
        "2:1 RC202",
        "3:4 RC203",
        "4:1 RC207",
        "4:4 RC208",
        "5:5 RC205",
        "5:11 RC203",
    ]


def test_a_duplicate_key_names_the_first_place() -> None:
    [problem] = parse("x:\n  a: 1\n  b: 2\n  a: 3\n", "inventory/a.yaml").problems

    assert problem.message == '"a" is already set at inventory/a.yaml:2:3'
    assert problem.excerpt == "  a: 3"


def test_depth_32_is_read_and_33_refused() -> None:
    assert value("[" * 32 + "]" * 32)
    assert told("[" * 33 + "]" * 33) == ["1:33 RC210"]
    assert told("[" * 40_000) == ["1:33 RC210"]
    assert told("{" * 40_000)[-1] == "1:33 RC210"
    assert told("- " * 40_000) == ["1:65 RC210"]
    assert told("{a: " * 40_000) == ["1:129 RC210"]
    assert told("? " * 40_000)[-1].endswith("RC210")


def test_a_text_made_of_problems_is_not_read_to_its_end() -> None:
    parsed = parse("- &a\n" * 100_000, "a.yaml")

    assert len(parsed.problems) == MAX_PROBLEMS + 1
    assert parsed.problems[-1].code == "RC414"
    assert parsed.value is ABSENT


def test_a_megabyte_of_one_thing_is_read() -> None:
    assert value("a: " + "x" * 1_000_000) == {"a": "x" * 1_000_000}
    assert value("[" + "1," * 300_000 + "]") == [1] * 300_000


def test_places_of_keys_values_and_spellings_are_kept_when_asked_for() -> None:
    parsed = parse("serial_number: 0123\nconfiguration:\n  vlan: 5\n  日本: [a, TRUE]\n", "a.yaml", places=True)

    assert parsed.values["/serial_number"] == (1, 16)
    assert parsed.keys["/configuration/vlan"] == (3, 3)
    assert parsed.values["/configuration/vlan"] == (3, 9)
    assert parsed.values["/configuration/日本/1"] == (4, 11)
    assert parsed.raw == {"/serial_number": "0123", "/configuration/vlan": "5", "/configuration/日本/1": "TRUE"}


def test_a_good_text_pays_only_for_the_places_of_its_devices_and_the_others_can_be_asked_for() -> None:
    text = 'devices:\n- a: 1\n  b: {"c/~": [1, x, "y", {d: 2}]}\n'
    parsed = parse(text, "a.yaml")

    assert parsed.values == {"": (1, 1), "/devices/0": (2, 3)}
    assert not parsed.keys
    assert not parsed.raw
    where, closer = places(parsed.value, parsed.marks), parse(text, "a.yaml", places=True)
    assert {path: where(path) for path in closer.values} == closer.values
    assert where("/devices/1") is None
    inside = {f"{device}/{key}": mark for device, marks in parsed.inside.items() for key, mark in marks.items()}
    assert inside.keys() == {"/devices", "/devices/0/a", "/devices/0/b"}
    assert {path: (mark.line + 1, mark.column + 1) for path, mark in inside.items()}.items() <= closer.values.items()


def test_pointers_escape_slashes_and_tildes() -> None:
    assert "/a~1b/c~0d" in parse("a/b: {c~d: 1}", "a.yaml", places=True).values


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"], max_codepoint=0x10FF)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcé~/<>: #-", max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_json_is_read_as_itself(document: Json) -> None:
    text = json.dumps(document, ensure_ascii=False)

    parsed = parse(text, "a.json")

    assert not parsed.problems, text
    assert json.dumps(parsed.value) == json.dumps(document)


plain = st.text("0123456789.eExXo+-_~:abfnlutrsINFaiyYTRUE", min_size=1, max_size=8)


@given(st.one_of(plain, st.from_regex(r"[-+]?(0o|0x)?[0-9a-fA-F]{1,6}\.?[0-9]*([eE][-+]?[0-9]{1,2})?", fullmatch=True)))
@example("0")
@example("0.")
@example("-.5e+3")
@example("0o0")
def test_plain_scalars_agree_with_yamlcore(text: str) -> None:
    try:
        theirs = yaml.load(f"[{text}]", Loader=yamlcore.CCoreLoader)  # noqa: S506 - a safe loader of YAML 1.2
    except (yaml.YAMLError, ValueError):
        return
    parsed = parse(f"[{text}]", "a.yaml")
    if parsed.problems:
        assert {p.code for p in parsed.problems} <= {"RC203", "RC205", "RC207", "RC208", "RC209"}
        return

    assert isinstance(parsed.value, list)
    assert [(type(a), a) for a in parsed.value] == [(type(b), b) for b in theirs]


@given(json_values)
def test_block_style_agrees_with_yamlcore(document: Json) -> None:
    text = yaml.dump(document, Dumper=yamlcore.CCoreDumper, allow_unicode=True)
    parsed = parse(text, "a.yaml")
    if parsed.problems and {p.code for p in parsed.problems} <= {"RC203", "RC204"}:
        return  # the dumper writes a repeated list as an alias, and the key << unquoted

    assert not parsed.problems, text
    assert parsed.value == yaml.load(text, Loader=yamlcore.CCoreLoader)  # noqa: S506 - a safe loader of YAML 1.2


yaml_pieces = st.sampled_from(
    [*"[]{},:-?&*!|>'\"%@`#~<\\ \n\t", "\n  ", "a", "1", "- ", ": ", "? ", "<<: ", "---\n", "...\n", "\\u", "\u2028"]
)


@given(st.one_of(st.text(), st.lists(yaml_pieces, max_size=60).map("".join)))
@example("%")
@example("\ufeff")
@example("'\\\n")
@example("a: |9\n")
def test_any_text_is_a_value_or_problems_and_never_an_exception(text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()
    parsed = parse(text, "a.yaml")

    lines = text.split("\n")
    for problem in parsed.problems:
        assert 1 <= problem.source.line <= len(lines) + 1
        assert problem.source.column >= 1
        assert problem.message
        assert problem.fix
    if not parsed.problems and parsed.value is not ABSENT:
        json.dumps(parsed.value, allow_nan=False)
        assert parse(text, "a.yaml", places=True).value == parsed.value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_keep_every_bit(number: float) -> None:
    found = value(f"a: {number!r}")

    assert isinstance(found, dict)
    assert isinstance(found["a"], float)
    assert math.copysign(1, found["a"]) == math.copysign(1, number)
    assert found["a"] == number
