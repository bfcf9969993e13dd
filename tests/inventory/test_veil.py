"""Where the schema marks secrets, no problem repeats what stands in the file: it may be one, in the wrong spelling."""

from pathlib import Path

import pytest

from reconciler.config import Settings
from reconciler.model import Problem
from reconciler.reconcile import validate

SCHEMA = '{"properties": {"configuration": {"properties": {"psk": {"writeOnly": true}}}}}'
VALUES = [
    ("*hunter2", "hunter2", "RC203"),
    ("&hunter2 x", "hunter2", "RC203"),
    ("99887766554433221100", "99887766554433221100", "RC209"),
    ("1e998", "1e998", "RC208"),
    ("-.inf", ".inf", "RC208"),
    ("{998877: x}", "998877", "RC207"),
    ("{hunter2: 1, hunter2: 2}", "hunter2", "RC202"),
    ("@hunter2", "@", "RC201"),
    ("{x:hunter2}", "hunter2", "RC212"),
]


def problems(folder: Path, value: str, schema: str) -> list[Problem]:
    (folder / "a.yaml").write_text(f"serial_number: A\nconfiguration:\n  psk: {value}\n")
    (folder / "own.json").write_text(schema)
    return list(validate(Settings(root=folder, inventory=folder / "a.yaml", schema=folder / "own.json")).problems)


@pytest.mark.parametrize("schema", [SCHEMA, "{"], ids=["marks a secret", "cannot be read"])
@pytest.mark.parametrize(("value", "secret", "code"), VALUES)
def test_a_secret_in_the_wrong_spelling_is_told_by_its_place_alone(
    value: str, secret: str, code: str, schema: str, tmp_path: Path
) -> None:
    found = [problem for problem in problems(tmp_path, value, schema) if problem.source.file == "a.yaml"]

    assert code in {problem.code for problem in found}
    assert {problem.source.line for problem in found} == {3}
    for problem in found:
        assert problem.message
        assert secret not in f"{problem.message} {problem.fix} {problem.excerpt}"


@pytest.mark.parametrize(("value", "secret", "code"), VALUES)
def test_where_nothing_is_secret_the_text_is_quoted(value: str, secret: str, code: str, tmp_path: Path) -> None:
    found = problems(tmp_path, value, "{}")

    assert code in {problem.code for problem in found}
    assert any(secret in f"{problem.message} {problem.fix}" for problem in found)
    assert all(secret in problem.excerpt for problem in found)
