import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from reconciler.inventory.schema import packaged_schema
from reconciler.model import Json

Declare = Callable[..., Path]
Run = Callable[..., Any]


@pytest.fixture
def good(declare: Declare) -> Path:
    return declare("good.yaml", serial_number="AP-1", status="active")


@pytest.fixture
def bad(declare: Declare) -> Path:
    return declare("bad.yaml", "serial_number: 0123\nstatus: activ\n")


@pytest.mark.usefixtures("good")
def test_a_valid_inventory_is_said_to_be_valid(run: Run) -> None:
    done = run("validate")

    assert (done.code, done.stdout, done.stderr) == (0, "1 device in 1 file is valid.\n", "")


@pytest.mark.usefixtures("good", "bad")
def test_problems_go_to_stdout_with_exit_code_1(run: Run) -> None:
    done = run("validate")

    assert (done.code, done.stderr) == (1, "")
    assert done.stdout.startswith(
        "inventory/bad.yaml:1:16: serial_number reads as a number; it must be a string [RC305]\n"
        "  1 | serial_number: 0123\n"
        "    |                ^\n"
        '  fix: write it in quotes: "0123"\n'
        "\n"
        'inventory/bad.yaml:2:9: this device.status is "activ"; expected one of active,'
    )
    assert done.stdout.endswith("\n\n2 problems in 1 file.\n")


@pytest.mark.usefixtures("bad")
def test_only_the_named_files_are_read(run: Run, good: Path, tmp_path: Path) -> None:
    assert run("validate", good).code == 0
    assert run("validate", "inventory/good.yaml").code == 0
    assert run("-C", tmp_path / "inventory", "--config", _config(tmp_path), "validate", "good.yaml").code == 0
    assert run("validate", "inventory").code == 1


@pytest.mark.usefixtures("good", "bad")
def test_json_is_as_its_schema_says(run: Run) -> None:
    done = run("validate", "--format", "json")

    document = json.loads(done.stdout)
    jsonschema_rs.Draft202012Validator(packaged_schema("validate")).validate(document)
    assert done.code == 1
    assert (document["valid"], document["devices"], document["files"]) == (False, 1, 2)
    assert [problem["code"] for problem in document["problems"]] == ["RC305", "RC406"]


@pytest.mark.usefixtures("bad")
def test_github_annotations_are_one_line_each(run: Run) -> None:
    done = run("validate", "--format", "github")

    assert done.code == 1
    first, second = done.stdout.splitlines()
    assert first.startswith("::error file=inventory/bad.yaml,line=1,col=16,title=RC305 serial number is not a string::")
    assert second.startswith("::error file=inventory/bad.yaml,line=2,col=9,title=RC406 ")


def test_a_missing_inventory_is_a_problem_not_an_empty_fleet(run: Run) -> None:
    done = run("validate")

    assert done.code == 1
    assert done.stdout.startswith("inventory:1:1: there is no such file or folder in ")


def test_a_file_that_kills_other_parsers_is_told_like_any_other(run: Run, declare: Declare) -> None:
    declare("a.yaml", "[" * 40_000)
    declare("b.yaml", "{" * 40_000)

    done = run("validate")

    assert done.code == 1
    assert done.stderr == ""
    assert done.stdout.count("[RC210]") == 2


def test_the_users_own_schema_is_used(run: Run, good: Path, tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text('{"properties": {"status": {"const": "retired"}}}')

    done = run("validate", good, environ={"RECONCILER_SCHEMA": "own.json"})

    assert done.code == 1
    assert 'AP-1.status is "active"; expected "retired" [RC406]' in done.stdout


def _config(tmp_path: Path) -> Path:
    file = tmp_path / "reconciler.toml"
    file.touch()
    return file


def test_no_command_of_a_runner_is_found_in_what_a_file_holds(declare: Declare, run: Run) -> None:
    declare("bad.yaml", serial_number="AP-1", status="##[add-mask]::error::x")
    runner = {"GITHUB_ACTIONS": "true"}

    for form in ("text", "json", "github"):
        told = run("validate", "--format", form, environ=runner).stdout
        lines = [
            line for line in told.splitlines() if not line.startswith("::error file=inventory/bad.yaml,line=3,col=")
        ]
        assert "add-mask" in told
        assert not any("##[" in line or line.strip().startswith("::") for line in lines)
    assert "##[add-mask]" in run("validate").stdout


@pytest.mark.parametrize(
    ("name", "text", "fix"),
    [
        ("groups/g.yaml", "group: g\nselect: {name: x}\nset: {status: active}\n", "a group belongs into _groups"),
        ("defaults.yaml", "status: active\n", "defaults of a folder belong into _defaults.yaml: rename the file"),
        ("a.yaml", "serial_number: AP-1\nlabels: {site: paris}\n", 'did you mean "$labels"?'),
        ("a.yaml", "serial_number: AP-1\n$manage: paused\n", "did you mean pause?"),
        ("a.yaml", "serial_number: AP-1\n$manage: off\n", "write one of the three"),
    ],
)
def test_what_was_probably_meant_is_the_fix(declare: Declare, run: Run, name: str, text: str, fix: str) -> None:
    declare(name, text)

    ran = run("validate")

    assert ran.code == 1
    assert f"  fix: {fix}" in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("lt-{serial_numbr}", "{serial_numbr}"),
        ("{ serial_number }", "{ serial_number }"),
        ("{{serial_number}}", "{{serial_number}}"),
        ("{Serial-Number}", "{Serial-Number}"),
        ("{$Labels.site} {$labels.site}", "{$Labels.site}"),
        ("{$labels}", "{$labels}"),
        ("{label.site}", "{label.site}"),
        ("{serial_number} {$labels.site} {hostname} {} {a: b}", None),
    ],
)
def test_what_looks_like_a_word_to_fill_in_and_is_none_is_warned_of(
    declare: Declare, run: Run, text: str, word: str | None
) -> None:
    declare("a.yaml", serial_number="AP-1", name=text, **{"$labels": {"site": "paris"}})

    warned = [line for line in run("validate").stderr.splitlines() if "is not filled in" in line]

    assert [line.partition("warning: ")[2] for line in warned] == ([f"{word} is not filled in [RC621]"] if word else [])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "{$lables.state}"),
        ("configuration", "{serial}"),
        ("assigned_user", "{serial}"),
        ("tags", ["{serial}"] * 2),
    ],
)
def test_a_warning_does_not_hide_what_is_wrong_at_its_place(
    declare: Declare, run: Run, field: str, value: Json
) -> None:
    declare("a.yaml", serial_number="AP-1", location="moved", **{field: value})

    for command in (["validate"], ["plan", "--detailed-exitcode"], ["plan", "--target", "AP-1"]):
        ran = run(*command)
        assert ran.code == 1, command
        assert f"AP-1.{field}" in ran.stdout + ran.stderr
    assert "[RC621]" in run("validate").stderr
