"""What starting the command costs, told by what it imports: a clock would tell of the machine."""

import subprocess
import sys

import pytest
from conftest import Declare, Run, clean_environ

from reconciler.sandbox.server import Sandbox

HEAVY = {
    "asyncio",
    "deepdiff",
    "h11",
    "httpx",
    "jsonschema",
    "jsonschema_rs",
    "rich",
    "ssl",
    "starlette",
    "uvicorn",
    "yaml",
}
OURS = {"reconciler.config", "reconciler.model", "reconciler.reconcile", "reconciler.report", "reconciler.state"}
ZONES = {"tzdata", "zoneinfo"}


def imported(program: str, *arguments: str) -> set[str]:
    """The modules that the program loads, beside those that Python starts with."""
    code = (
        "import sys; sys.argv = ['reconciler', *sys.argv[1:]]; bare = {*sys.modules}\n"
        f"try: {program}\n"
        "finally: print('loaded:', *({*sys.modules} - bare))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=clean_environ(),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("loaded:")[2].split())


START = "from reconciler.__main__ import main; sys.exit(main())"


def test_the_version_is_told_before_anything_is_loaded() -> None:
    loaded = imported(START, "--version")

    assert {name for name in loaded if name.startswith("reconciler")} == {"reconciler", "reconciler.__main__"}
    assert not (HEAVY | {"click", "dataclasses", "enum", "json", "re", "typing"}) & loaded


@pytest.mark.parametrize("arguments", [["--help"], ["plan", "--help"], ["apply", "--help"], ["validate", "--help"]])
def test_help_loads_what_it_prints_and_nothing_that_would_do_it(arguments: list[str]) -> None:
    loaded = imported(START, *arguments)

    assert "click" in loaded
    assert not (HEAVY | OURS | ZONES | {"sqlite3", "subprocess"}) & loaded


def test_a_plan_loads_neither_yaml_nor_a_validator_nor_what_applies_before_it_needs_them() -> None:
    loaded = imported("import reconciler.cli.plan, reconciler.cli.output, reconciler.reconcile, reconciler.report.text")

    assert not (HEAVY | ZONES | {"reconciler.apply.run", "subprocess"}) & loaded


def test_a_plan_of_files_that_did_not_move_loads_neither_a_parser_nor_a_validator(
    declare: Declare, run: Run, sandbox: Sandbox
) -> None:
    sandbox.seed("AP-1")
    declare("a.yaml", serial_number="AP-1", status="active")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0

    told = {"PYTHONPROFILEIMPORTTIME": "1"}
    reading, knowing = (run("plan", *options, environ=told) for options in (["--no-cache"], []))

    assert knowing.stdout == reading.stdout
    assert "yaml" in modules(reading.stderr)
    assert HEAVY & modules(knowing.stderr) == set()


def modules(stderr: str) -> set[str]:
    """What Python says it imports, with -X importtime."""
    return {line.rpartition("|")[2].strip() for line in stderr.splitlines() if line.startswith("import time:")}
