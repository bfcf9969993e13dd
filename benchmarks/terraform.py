"""Terraform, or OpenTofu, with the same fleet: a `terraform_data` a device, which needs no provider and no network.

`python benchmarks/terraform.py FOLDER DEVICES` writes resources and state: in a process of its own, so that the harness
stays small.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from itertools import groupby
from pathlib import Path

from fleet import fleet
from measure import Command, Cost, cost

from reconciler.model import Json

QUIET = {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_CLI_CONFIG_FILE": os.devnull}


def no_op_plan(scratch: Path, devices: int) -> tuple[str, Cost] | None:
    """A plan without changes or refresh of one `terraform_data` a device, which needs no provider, from a local state.

    The state is written as `terraform apply` leaves it: an apply of 1,000 takes minutes. `tofu` will do as well.
    """
    program = next(filter(None, map(shutil.which, ("terraform", "tofu"))), None)
    if program is None:
        print("skipped terraform: neither terraform nor tofu is in PATH", file=sys.stderr)
        return None
    scratch.mkdir(parents=True)
    subprocess.run([sys.executable, __file__, scratch, str(devices)], check=True)
    environ = os.environ | QUIET
    subprocess.run([program, "init", "-input=false"], cwd=scratch, env=environ, stdout=subprocess.DEVNULL, check=True)
    command: Command = [program, "plan", "-refresh=false", "-lock=false", "-input=false", "-no-color"]
    told = subprocess.run([program, "version"], env=environ, capture_output=True, encoding="utf-8", check=True).stdout
    [version] = re.findall(r"^(?:Terraform|OpenTofu) v\S+", told, re.MULTILINE)
    return version, cost(command, cwd=scratch, says=("no changes are needed",), environ=QUIET)


def write(folder: Path, devices: int) -> None:
    """The fleet as resources, a file for each folder of the inventory, and the state where all of them are applied."""
    resources: list[Json] = []
    for area, members in groupby(fleet(devices), key=lambda member: member.file.partition("/")[0]):
        declared: dict[str, Json] = {}
        for member in members:
            declared[member.serial] = {"input": member.fields}
            held: Json = {"value": member.fields, "type": _type(member.fields)}
            attributes: Json = {"id": member.serial, "input": held, "output": held, "triggers_replace": None}
            resources.append(
                {
                    "mode": "managed",
                    "type": "terraform_data",
                    "name": member.serial,
                    "provider": 'provider["terraform.io/builtin/terraform"]',
                    "instances": [{"schema_version": 0, "attributes": attributes, "sensitive_attributes": []}],
                }
            )
        (folder / f"{area}.tf.json").write_text(json.dumps({"resource": {"terraform_data": declared}}))
    state = {"version": 4, "terraform_version": "1.4.0", "serial": 1, "lineage": "bench", "outputs": {}}
    (folder / "terraform.tfstate").write_text(json.dumps(state | {"resources": resources, "check_results": None}))


def _type(value: Json) -> Json:
    """The type of a value as a state of Terraform spells it."""
    match value:
        case dict():
            return ["object", {name: _type(each) for name, each in value.items()}]
        case list():
            return ["tuple", [_type(each) for each in value]]
        case bool():
            return "bool"
        case str():
            return "string"
        case _:
            return "number"


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]))
