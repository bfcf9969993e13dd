import re
from pathlib import Path

import pytest

from reconciler.codes import CODES
from reconciler.config import Settings
from reconciler.reconcile import validate

ROOT = Path(__file__).parents[1]
DOCS = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
SECTIONS = re.split(r"^### ", DOCS, flags=re.MULTILINE)[1:]
EXAMPLES = {
    section[:5]: {name or "a.yaml": text for name, text in blocks}
    for section in SECTIONS
    if (blocks := re.findall(r"```yaml\n(?:# (\S+\.yaml)\n)?(.*?)```", section, re.DOTALL))
}
"""By code, the files of its example by name."""


def test_every_code_that_the_program_uses_has_a_name_and_every_name_is_used() -> None:
    files = [
        *(ROOT / "reconciler" / "inventory").glob("*.py"),
        ROOT / "reconciler" / "desired.py",
        ROOT / "reconciler" / "conformance.py",
    ]
    sources = "".join(file.read_text(encoding="utf-8") for file in files)

    assert set(re.findall(r'"(RC\d{3})"', sources)) == set(CODES)


def test_every_code_is_explained_with_an_example_and_a_fix() -> None:
    titles = [section.split("\n", 1)[0] for section in SECTIONS]

    assert titles == [f"{code} — {name}" for code, name in CODES.items()]
    for section in SECTIONS:
        assert "**Example**" in section, section
        assert "**Fix**" in section, section


@pytest.mark.parametrize("code", EXAMPLES)
def test_an_example_gives_its_code_and_no_other(tmp_path: Path, code: str) -> None:
    for name, text in EXAMPLES[code].items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")

    found = validate(Settings(root=tmp_path, inventory=tmp_path))

    assert {problem.code for problem in (*found.problems, *found.warnings)} - (
        {"RC401"} if code == "RC304" else set()
    ) == {code}
