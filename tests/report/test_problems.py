import json
from dataclasses import replace

import jsonschema_rs
from hypothesis import given
from hypothesis import strategies as st

from reconciler.inventory.schema import packaged_schema
from reconciler.model import Problem, Source
from reconciler.report.problems import document, text, valid


def problem(
    excerpt: str = "", column: int = 1, *, message: str = "it is wrong", file: str = "inventory/a.yaml"
) -> Problem:
    return Problem("RC405", message, "make it right", Source(file, 12, column), excerpt)


def caret(excerpt: str, column: int) -> tuple[str, int]:
    """The source line as it is shown, and the index of the caret below it."""
    _, line, below, *_ = text([problem(excerpt, column)]).split("\n")
    assert below.rstrip("^") == below[:-1]
    return line.removeprefix("  12 | "), len(below) - len("  12 | ") - 1


def test_a_problem_shows_its_place_its_line_a_caret_and_the_fix() -> None:
    assert text([problem("  vlan: abc", 9, message='AP-1.vlan is "abc"')]).split("\n") == [
        'inventory/a.yaml:12:9: AP-1.vlan is "abc" [RC405]',
        "  12 |   vlan: abc",
        "     |         ^",
        "  fix: make it right",
        "",
        "1 problem in 1 file.",
    ]


def test_many_with_one_fix_stand_together_a_line_each() -> None:
    alike = [problem("  vlan: abc", 9, file=f"{name}.yaml") for name in "abcd"]
    other = replace(problem("x: 1"), code="RC401")

    assert text([alike[0], other, *alike[1:]]).split("\n") == [
        "a.yaml:12:9: it is wrong [RC405]",
        "  12 |   vlan: abc",
        "     |         ^",
        "b.yaml:12:9: it is wrong [RC405]",
        "c.yaml:12:9: it is wrong [RC405]",
        "d.yaml:12:9: it is wrong [RC405]",
        "  fix, for all 4: make it right",
        "",
        "inventory/a.yaml:12:1: it is wrong [RC401]",
        "  12 | x: 1",
        "     | ^",
        "  fix: make it right",
        "",
        "5 problems in 5 files.",
    ]


def test_a_few_with_one_fix_are_told_whole_where_they_stand() -> None:
    told = text([problem("x: 1", file="a.yaml"), replace(problem(), code="RC401"), problem("x: 2", file="b.yaml")])

    assert told.count("fix: make it right") == 3
    assert told.index("a.yaml") < told.index("RC401") < told.index("b.yaml")


def test_the_last_line_counts() -> None:
    three = [problem(), problem(), problem(file="b.yaml")]

    assert text(three).endswith("\n3 problems in 2 files.")
    assert valid(31, 12) == "31 devices in 12 files are valid."
    assert valid(1, 1) == "1 device in 1 file is valid."
    assert valid(2, 1, 3) == "2 devices in 1 file are valid, under 3 layers."


def test_without_a_source_line_there_is_no_caret() -> None:
    assert "^" not in text([problem("")])
    assert "^" not in text([problem("   ")])


def test_the_caret_is_under_the_place_after_tabs_and_wide_characters() -> None:
    assert caret("a:\tx", 4) == ("a:    x", 6)
    assert caret("日本: x", 5) == ("日本: x", 6)
    assert caret("e\u0301: x", 5) == ("e\u0301: x", 3)
    assert caret("a\x1b[31m: x", 9) == ("a\\u001b[31m: x", 13)


def test_a_long_line_is_cut_around_its_place() -> None:
    shown, index = caret("a" * 5_000 + "X" + "b" * 5_000, 5_001)

    assert shown[index] == "X"
    assert shown.startswith("…")
    assert shown.endswith("…")
    assert len(shown) <= 110


def test_a_place_beyond_the_line_is_shown_at_its_end() -> None:
    assert caret("abc", 99) == ("abc", 3)


@given(st.text(), st.text(), st.integers(1, 300))
def test_nothing_in_a_file_can_control_the_terminal(message: str, excerpt: str, column: int) -> None:
    hostile = problem(excerpt, column, message=message, file=f"a{message}.yaml")

    assert all(line.isprintable() for line in text([hostile]).split("\n"))


def test_the_document_is_as_its_schema_says() -> None:
    validator = jsonschema_rs.Draft202012Validator(packaged_schema("validate"))
    wrong = document([problem("x: secret", 4)], devices=3, files=2)

    validator.validate(wrong)
    validator.validate(document([], devices=3, files=2))
    assert wrong["valid"] is False
    assert wrong["problems"] == [
        {
            "code": "RC405",
            "message": "it is wrong",
            "fix": "make it right",
            "file": "inventory/a.yaml",
            "line": 12,
            "column": 4,
        }
    ]
    assert "secret" not in json.dumps(wrong)
