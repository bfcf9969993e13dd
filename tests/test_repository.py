"""The repository keeps its own rules."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FORBIDDEN = {"utils", "helpers", "common", "core", "manager", "services", "types", "constants"}


def ours() -> list[Path]:
    return [
        file for folder in ("reconciler", "tests", "scripts", "benchmarks") for file in (ROOT / folder).rglob("*.py")
    ]


def locked() -> dict[str, str]:
    lock = (ROOT / "requirements-dev.lock").read_text()
    return {canonicalize_name(name): version for name, version in re.findall(r"(?m)^([\w.-]+)==([^\s;]+)", lock)}


def declared() -> list[Requirement]:
    project = PYPROJECT["project"]
    return [
        Requirement(text)
        for text in [
            *PYPROJECT["build-system"]["requires"],
            *project["dependencies"],
            *project["optional-dependencies"]["sandbox"],
            *PYPROJECT["dependency-groups"]["dev"],
        ]
    ]


def test_the_lock_holds_every_declared_dependency_at_a_version_that_fits() -> None:
    pins = locked()

    assert [str(need) for need in declared() if pins.get(canonicalize_name(need.name), "") not in need.specifier] == []


def test_the_lock_holds_nothing_that_no_declared_dependency_needs() -> None:
    def needed(name: str, extras: frozenset[str]) -> Iterator[str]:
        yield canonicalize_name(name)
        try:
            requires = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            return  # for another system
        for requirement in map(Requirement, requires):
            asked = requirement.marker is None or any(
                requirement.marker.evaluate({"extra": extra, "os_name": os_name, "sys_platform": system})
                for extra in (extras or {""})
                for os_name, system in (("posix", "linux"), ("nt", "win32"))
            )
            key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
            if asked and key not in seen:
                seen.add(key)
                yield from needed(*key)

    seen: set[tuple[str, frozenset[str]]] = set()
    reachable = {name for need in declared() for name in needed(need.name, frozenset(need.extras))}

    assert locked().keys() - reachable == set()


def test_the_lock_pins_every_package_by_hash() -> None:
    blocks = re.split(r"(?m)^(?=[\w.-]+==)", (ROOT / "requirements-dev.lock").read_text())[1:]

    assert len(blocks) == len(locked()) > 20
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert [file for file in ours() if FORBIDDEN & {file.stem, file.parent.name}] == []


def test_no_file_of_the_program_has_two_subjects() -> None:
    one_subject = ROOT / "reconciler" / "model.py"  # the vocabulary
    files = [file for file in ours() if not file.is_relative_to(ROOT / "tests") and file != one_subject]

    assert {str(file): lines for file in files if (lines := len(file.read_text().splitlines())) > 300} == {}


@pytest.mark.parametrize(
    ("file", "line", "contract", "named"),
    [
        ("utils.py", "", "one-direction", "reconciler.utils"),
        (
            "plan/diff.py",
            "import reconciler.state.backend",
            "one-direction",
            "reconciler.plan.diff -> reconciler.state",
        ),
        ("state/open.py", "import reconciler.config", "one-direction", "reconciler.state.open -> reconciler.config"),
        ("model.py", "import reconciler.errors", "one-direction", "reconciler.model -> reconciler.errors"),
        ("state/open.py", "import httpx", "one-door", "reconciler.state.open -> httpx"),
        ("apply/device_api.py", "import h11", "one-door", "reconciler.apply.device_api -> h11"),
        ("forge/github.py", "import httpx", "one-door", "reconciler.forge.github -> httpx"),
        ("plan/diff.py", "import os", "pure", "reconciler.plan.diff -> os"),
        ("inventory/validate.py", "import time", "pure", "reconciler.inventory.validate -> time"),
        ("report/__init__.py", "import pathlib", "pure", "reconciler.report -> pathlib"),
    ],
)
def test_the_architecture_contract_notices(file: str, line: str, contract: str, named: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "reconciler", tmp_path / "reconciler", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "reconciler" / file).open("a") as source:
        source.write(f"\n{line}\n")

    program = Path(sys.executable).with_name("lint-imports")
    command = [str(program), "--no-cache", "--no-logo", "--contract", contract]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=60, check=False)

    assert done.returncode == 1, done.stdout + done.stderr
    assert named in done.stdout


def test_the_editor_checks_every_inventory_file_against_a_schema_of_its_kind() -> None:
    settings = json.loads((ROOT / ".vscode" / "settings.json").read_text())["yaml.schemas"]

    assert {ROOT / schema for schema in settings} == {
        ROOT / "schemas" / f"{kind}.schema.json" for kind in ("inventory", "defaults", "group")
    }
    for file in (ROOT / "inventory").rglob("*.yaml"):
        kind = "defaults" if file.name == "_defaults.yaml" else "group" if "_groups" in file.parts else "inventory"
        name = str(file.relative_to(ROOT))
        assert any(fnmatch(name, pattern.replace("**/", "*")) for pattern in settings[f"./schemas/{kind}.schema.json"])


def test_make_explains_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    [phony] = re.findall(r"(?m)^\.PHONY: (.+)$", makefile)
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, encoding="utf-8", check=True).stdout

    assert re.findall(r"(?m)^  make ([a-z-]+) +\S", shown) == phony.split()
