"""A file that is wrong from top to bottom: told in part, and with how much was left out."""

from datetime import date
from pathlib import Path

import pytest

from reconciler.config import Settings
from reconciler.inventory.compile import Schema, compiled
from reconciler.inventory.document import Candidate
from reconciler.inventory.merge import ListRules
from reconciler.inventory.schema import packaged_schema
from reconciler.inventory.validate import spots
from reconciler.inventory.validate import validate as validate_fields
from reconciler.model import Json, Problem, Serial, Source
from reconciler.reconcile import validate


def problems(folder: Path, **texts: str) -> list[Problem]:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return list(validate(Settings(root=folder, inventory=folder)).problems)


@pytest.mark.parametrize(
    ("text", "code", "others"),
    [
        (f"serial_number: A\ntags: [{','.join(map(str, range(900)))}]\n", "RC405", 800),
        ("serial_number: A\n" + "".join(f"x{number}: 1\n" for number in range(900)), "RC401", 800),
        ("serial_number: A\nconfiguration:\n" + "".join(f"  $x{number}: 1\n" for number in range(900)), "RC404", 800),
        (f"devices: [{','.join('1' for _ in range(900))}]\n", "RC303", 800),
        ("devices:\n" + "".join(f"  - serial_number: A{n}\n    status: b\n" for n in range(101)), "RC406", 1),
    ],
    ids=["items", "fields", "reserved", "no-devices", "devices"],
)
def test_a_hundred_problems_of_a_file_are_listed_and_the_others_counted(
    text: str, code: str, others: int, tmp_path: Path
) -> None:
    *listed, last = problems(tmp_path, a=text)

    assert [problem.code for problem in listed] == [code] * 100
    assert (last.code, last.source.file) == ("RC413", "a.yaml")
    verb = "problem of this file is" if others == 1 else "problems of this file are"
    assert last.message == f"{others} more {verb} not listed"


def test_a_hundred_are_not_too_many(tmp_path: Path) -> None:
    tags = ",".join(map(str, range(100)))

    assert {problem.code for problem in problems(tmp_path, a=f"serial_number: A\ntags: [{tags}]\n")} == {"RC405"}


def test_every_file_has_its_own_hundred_and_its_own_count(tmp_path: Path) -> None:
    tags = ",".join(map(str, range(150)))
    found = problems(
        tmp_path,
        a=f"serial_number: A\ntags: [{tags}]\n",
        b=f"serial_number: B\ntags: [{tags}]\n",
        c="serial_number: C\nx: 1\n",
    )

    assert [problem.message for problem in found if problem.code == "RC413"] == [
        "50 more problems of this file are not listed"
    ] * 2
    assert [problem.source.file for problem in found] == ["a.yaml"] * 101 + ["b.yaml"] * 101 + ["c.yaml"]


def test_what_is_not_listed_is_not_put_into_words() -> None:
    """Words are what costs: one file may hold 400,000 mistakes."""
    schema = compiled(packaged_schema("device"), "device.schema.json")
    assert isinstance(schema, Schema)
    fields: dict[str, Json] = {f"x{number}": 1 for number in range(5_000)}
    device = Candidate(Serial("A"), {"serial_number": "A", **fields}, Source("a.yaml", 1), "")
    findings = validate_fields([device], schema, lambda _: False, spots(ListRules(), date.min))

    assert len({finding.pointer for finding in findings}) == 5_000
    assert sum(finding.message != "" for finding in findings) == 100
