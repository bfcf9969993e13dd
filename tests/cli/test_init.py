"""`reconciler init` makes a repository ready, and leaves alone what is there."""

import json
import re
from pathlib import Path

import pytest
import yaml
from conftest import COMMAND, Run
from git_places import bare, git

from reconciler import __version__

COMMON = {
    ".gitignore",
    "reconciler.toml",
    "inventory/access-points/lobby.yaml",
    *(f"schemas/{name}.schema.json" for name in ("device", "inventory", "defaults", "group")),
}
GITHUB = COMMON | {
    ".github/workflows/plan.yml",
    ".github/workflows/apply.yml",
    ".github/actions/reconciler/action.yml",
    ".github/actions/reconciler/requirements.txt",
}
GITLAB = COMMON | {".gitlab-ci.yml", ".gitlab/reconciler/requirements.txt"}
ROOT = Path(__file__).parents[2]


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }


@pytest.mark.parametrize(("forge", "expected"), [("github", GITHUB), ("gitlab", GITLAB)])
def test_an_empty_folder_gets_all_that_a_forge_needs(run: Run, tmp_path: Path, forge: str, expected: set[str]) -> None:
    ran = run("init", "fleet", "--forge", forge)

    assert (ran.code, ran.stderr) == (0, "")
    assert files(tmp_path / "fleet").keys() == expected
    assert set(re.findall(r"(?m)^\+ (\S+)$", ran.stdout)) == expected
    assert len(re.findall(r"(?m)^  \d\. ", ran.stdout)) == 6, "three settings, three steps"
    assert "RECONCILER_TOKEN" in ran.stdout


def test_what_it_made_is_a_valid_fleet_with_a_state_in_git_and_schemas_that_are_up_to_date(
    run: Run, tmp_path: Path
) -> None:
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "remote", "add", "origin", str(bare(tmp_path / "remote.git")))
    assert run("init").code == 0

    assert run("validate").stdout == "1 device in 1 file is valid.\n"
    assert run("schemas", "--check").code == 0
    planned = run("plan")
    assert (planned.code, planned.stderr.count("warning")) == (0, 0)
    assert "Plan: 1 to adopt" in planned.stdout
    assert 'state = "git:reconciler-state"' in (tmp_path / "reconciler.toml").read_text()
    git(tmp_path, "add", "--all")
    assert ".reconciler" not in git(tmp_path, "status", "--porcelain")


def test_a_second_time_it_writes_nothing_and_says_so(run: Run, tmp_path: Path) -> None:
    assert run("init").code == 0
    before = files(tmp_path)
    again = run("init")

    assert again.code == 0
    assert files(tmp_path) == before
    assert set(re.findall(r"(?m)^  (\S+): left alone, ", again.stdout)) == GITHUB - {".gitignore"}
    assert not re.search(r"(?m)^\+ ", again.stdout)


def test_what_is_there_is_never_overwritten(run: Run, tmp_path: Path) -> None:
    mine = {
        name: f"mine: {name}\n"
        for name in ("reconciler.toml", ".github/workflows/apply.yml", "inventory/_defaults.yaml", ".gitignore")
    } | {"schemas/device.schema.json": json.dumps({"properties": {"serial_number": {}, "colour": {}}})}
    for name, text in mine.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    ran = run("init")
    now = files(tmp_path)

    assert ran.code == 0
    assert {name: now[name] for name in mine} == mine | {".gitignore": "mine: .gitignore\n.reconciler/\n"}
    assert "inventory/access-points/lobby.yaml: left alone, inventory/ holds files already" in ran.stdout
    assert not (tmp_path / "inventory" / "access-points").exists()
    assert "colour" in now["schemas/inventory.schema.json"], "made from the schema that is there"


def test_settings_in_pyproject_are_not_replaced_by_others(run: Run, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.reconciler]\nstate = "sqlite:here.db"\n')

    assert "reconciler.toml: left alone, pyproject.toml has [tool.reconciler]" in run("init").stdout
    assert not (tmp_path / "reconciler.toml").exists()


def test_a_link_that_leads_nowhere_is_not_written_through(run: Run, tmp_path: Path) -> None:
    (tmp_path / "reconciler.toml").symlink_to(tmp_path / "elsewhere")

    assert "reconciler.toml: left alone" in run("init").stdout
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_in_the_place_of_a_folder_is_an_error_that_names_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "schemas").write_text("")
    ran = run("init")

    assert (ran.code, "schemas: cannot be made: File exists" in ran.stderr) == (1, True)


def test_inside_of_a_repository_it_says_where_workflows_are_read(run: Run, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")

    assert f"warning: {tmp_path} is the repository" in run("init", "fleet").stderr
    assert run("init").stderr == ""


def test_the_workflows_are_those_of_this_repository_except_for_where_its_state_is(run: Run, tmp_path: Path) -> None:
    run("init")
    made, ours = files(tmp_path), files(ROOT / ".github")

    assert made[".github/actions/reconciler/action.yml"] == ours["actions/reconciler/action.yml"]
    for name in ("plan", "apply"):
        theirs, mine = (
            yaml.safe_load(text[f"{at}workflows/{name}.yml"]) for text, at in ((made, ".github/"), (ours, ""))
        )
        assert mine.pop("env") == {"RECONCILER_STATE": "git:reconciler-state"}
        assert theirs == mine


@pytest.mark.parametrize(
    ("forge", "file"),
    [("github", ".github/actions/reconciler/requirements.txt"), ("gitlab", ".gitlab/reconciler/requirements.txt")],
)
def test_ci_installs_the_version_that_wrote_its_workflows(run: Run, tmp_path: Path, forge: str, file: str) -> None:
    run("init", "--forge", forge)
    lines = (tmp_path / file).read_text().splitlines()

    assert [line for line in lines if not line.startswith("#")] == [f"zequenze-reconciler=={__version__}"]


def test_the_program_that_ci_starts_is_this_one(run: Run, tmp_path: Path) -> None:
    """Every command line in the files for GitLab, and in the hook for pre-commit, is one that the program has."""
    run("init", "--forge", "gitlab")
    jobs = yaml.safe_load((tmp_path / ".gitlab-ci.yml").read_text())
    [hook] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    lines = [jobs[job]["script"][-1].removeprefix("exec ") for job in ("reconciler-plan", "apply")] + [hook["entry"]]

    assert COMMAND.name == "reconciler"
    assert {line.split()[0] for line in lines} == {"reconciler"}
    assert hook["id"] == "reconciler-validate"


@pytest.mark.parametrize(
    ("path", "checked"),
    [
        ("inventory/a/b.yaml", True),
        ("fleet/inventory/_groups/x.yml", True),
        ("reconciler.toml", True),
        ("schemas/device.schema.json", True),
        ("schemas/plan.schema.json", False),
        ("docs/inventory.md", False),
    ],
)
def test_the_hook_runs_for_what_it_can_judge(path: str, *, checked: bool) -> None:
    [hook] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())

    assert bool(re.search(hook["files"], path)) is checked
