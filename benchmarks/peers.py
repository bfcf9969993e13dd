"""The same job done by tools that exist: two in an environment of their own, made for this run, Terraform from PATH."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import terraform
from measure import Command, Cost, cost

Result = tuple[str, str, Cost]
"""The name of the work in WORK, which program did it, and what it cost."""

MOST_ARGUMENTS = 10_000
"""So many files fit on a command line."""


def peers(scratch: Path, inventory: Path, schema: Path, devices: int) -> Iterator[Result]:
    """What each of them that is there takes for a fleet of `devices`, one file each; the others are told on stderr."""
    found = {
        "octodns": octodns_no_op_plan(scratch / "octodns", devices),
        "terraform": terraform.no_op_plan(scratch / "terraform", devices),
        "check-jsonschema": check_jsonschema_validate(scratch / "check", inventory, schema),
    }
    for name, result in found.items():
        if result:
            yield name, *result


def octodns_no_op_plan(scratch: Path, records: int) -> tuple[str, Cost] | None:
    """A plan without changes from one YAML file a record to the same again, as octoDNS has no state of its own."""
    programs = _installed(scratch, "octodns")
    if programs is None:
        return None
    for side in ("source", "target"):
        zone = scratch / side / "example.com."
        zone.mkdir(parents=True)
        for number in range(records):
            name = f"device-{number:06}"
            values = ", ".join(f"10.{octet}.{number // 250 % 250}.{number % 250}" for octet in range(8))
            (zone / f"{name}.yaml").write_text(f"---\n{name}:\n  ttl: 300\n  type: A\n  values: [{values}]\n")
    provider = "{class: octodns.provider.yaml.YamlProvider, split_extension: ., directory: %s, enforce_order: false}"
    (scratch / "octodns.yaml").write_text(
        f"providers:\n  source: {provider % (scratch / 'source')}\n  target: {provider % (scratch / 'target')}\n"
        "zones:\n  example.com.: {sources: [source], targets: [target]}\n"
    )
    command: Command = [programs / "octodns-sync", "--config-file", scratch / "octodns.yaml"]
    return _version(programs, "octodns"), cost(
        command, cwd=scratch, says=(f"found {records} records", "No changes were planned")
    )


def check_jsonschema_validate(scratch: Path, inventory: Path, schema: Path) -> tuple[str, Cost] | None:
    """Every inventory file against the same schema, as an editor or a pre-commit hook would do it."""
    files = sorted(inventory.glob("area-*/[!_]*.yaml"))
    if len(files) > MOST_ARGUMENTS:
        print("skipped check-jsonschema: so many files do not fit on a command line", file=sys.stderr)
        return None
    programs = _installed(scratch, "check-jsonschema")
    if programs is None:
        return None
    command: Command = [programs / "check-jsonschema", "--schemafile", schema, *files]
    return _version(programs, "check-jsonschema"), cost(command, cwd=scratch, says=("ok",))


def _installed(scratch: Path, package: str) -> Path | None:
    """The programs of `package`, or None where it cannot be had."""
    home = scratch / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    pip: Command = [sys.executable, "-m", "pip", "--python", home, "install", "--quiet", package]
    done = subprocess.run(pip, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        print(f"skipped {package}: it could not be installed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    return home / "bin"


def _version(programs: Path, package: str) -> str:
    code = f"from importlib.metadata import version; print(version({package!r}))"
    found = subprocess.run([programs / "python", "-c", code], capture_output=True, encoding="utf-8", check=True)
    return f"{package} {found.stdout.strip()}"
