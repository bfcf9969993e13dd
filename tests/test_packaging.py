"""The wheel as a user gets it, and what starting the command costs."""

import ast
import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
SLOW_IMPORTS = {
    "deepdiff",
    "h11",
    "httpx",
    "jsonschema",
    "jsonschema_rs",
    "rich",
    "sqlite3",
    "starlette",
    "uvicorn",
    "yaml",
}


def run(*command: str | Path, cwd: Path) -> str:
    environ = {"PATH": os.environ["PATH"], "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [*command], cwd=cwd, env=environ, capture_output=True, encoding="utf-8", timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without a network: the build backend is locked and installed."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty environment holding the wheel; its dependencies are those of this environment."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    pip = (sys.executable, "-m", "pip", "--python", folder, "--quiet", "--disable-pip-version-check")
    run(*pip, "install", "--no-index", "--no-deps", "--no-compile", wheel, cwd=folder)
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder


def test_the_sdist_holds_the_whole_repository_so_that_its_tests_run_from_it(tmp_path: Path) -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    if tracked.returncode:
        pytest.skip("this is not a git repository, but a copy such as the sdist")
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", tmp_path, ROOT, cwd=tmp_path)
    [sdist] = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}

    assert "scripts/environment.py" in packed
    assert set(tracked.stdout.splitlines()) - packed == set()


def test_an_installed_wheel_brings_a_command_that_says_its_version(installed: Path) -> None:
    version = run(installed / "bin" / "reconciler", "--version", cwd=installed)

    assert version == f"reconciler {metadata.version('zequenze-reconciler')}\n"


def test_an_installed_wheel_runs_its_own_code_and_not_that_of_the_source_tree(installed: Path) -> None:
    place = run(installed / "bin" / "python", "-c", "import reconciler; print(reconciler.__file__)", cwd=installed)

    assert Path(place).is_relative_to(installed)


def test_the_schemas_travel_inside_the_wheel_as_they_stand_in_the_repository(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {
            name.removeprefix("reconciler/"): archive.read(name)
            for name in archive.namelist()
            if name.startswith("reconciler/schemas/")
        }

    assert "schemas/device.schema.json" in packed
    assert packed == {f"schemas/{file.name}": file.read_bytes() for file in (ROOT / "schemas").iterdir()}


def test_an_installed_wheel_writes_the_same_repository_as_the_source_tree(installed: Path, tmp_path: Path) -> None:
    for forge in ("github", "gitlab"):
        ours, theirs = tmp_path / f"{forge}-source", tmp_path / f"{forge}-wheel"
        run(Path(sys.executable).with_name("reconciler"), "init", ours, "--forge", forge, cwd=tmp_path)
        run(installed / "bin" / "reconciler", "init", theirs, "--forge", forge, cwd=tmp_path)
        made = {file.relative_to(theirs): file.read_bytes() for file in theirs.rglob("*") if file.is_file()}

        assert len(made) >= 9
        assert made == {file.relative_to(ours): file.read_bytes() for file in ours.rglob("*") if file.is_file()}


def test_an_installed_wheel_finds_its_schema(installed: Path) -> None:
    code = "import json; from reconciler.inventory import schema; print(json.dumps(schema.packaged_schema('device')))"
    found = json.loads(run(installed / "bin" / "python", "-c", code, cwd=installed))

    assert found == json.loads((ROOT / "schemas" / "device.schema.json").read_text())


def test_an_installed_wheel_shows_its_demo_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    shown = run(installed / "bin" / "reconciler", "demo", cwd=tmp_path)

    assert "$ reconciler apply" in shown
    assert list(tmp_path.iterdir()) == []


def test_the_wheel_is_typed_licensed_and_holds_the_package_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    assert "reconciler/py.typed" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert {re.sub(r"^zequenze_reconciler-[^/]+", "", name).split("/")[0] for name in names} == {"", "reconciler"}
    assert not [name for name in names if "test" in name]


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_starting_the_command_imports_nothing_slow(option: str) -> None:
    code = (
        "import sys; sys.argv = ['reconciler', *sys.argv[1:]]; from reconciler.cli import main\n"
        "try: main()\n"
        "except SystemExit: print('imported:', *sys.modules)"
    )
    _, imported = run(sys.executable, "-c", code, option, cwd=ROOT).split("imported: ")

    assert "click" in imported.split()
    assert not SLOW_IMPORTS & set(imported.split())


def test_everything_that_the_package_imports_is_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = [*project["dependencies"], *project["optional-dependencies"]["sandbox"]]
    declared = {canonicalize_name(Requirement(text).name) for text in requirements}
    imported = {
        module.split(".")[0]
        for file in (ROOT / "reconciler").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        for module in _imported(node)
    }
    imported -= {"reconciler", *sys.stdlib_module_names}
    imported.add("tzdata")  # zoneinfo reads it where the system has no time zones
    owners = metadata.packages_distributions()

    assert {canonicalize_name(name) for module in imported for name in owners[module]} == declared


def _imported(node: ast.AST) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=str(module), level=0):
            return [module]
        case _:
            return []
