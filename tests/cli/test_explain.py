import json
import os
import subprocess
from pathlib import Path

import jsonschema_rs
import pytest
from conftest import Declare, Run

from reconciler.inventory.schema import packaged_schema
from reconciler.sandbox.server import Sandbox

HOSTILE = "Ada\u202e\x1b[31m"


@pytest.fixture
def fleet(declare: Declare) -> None:
    """Three layers that speak of a channel."""
    declare("_defaults.yaml", '$labels: {site: paris}\nname: "{$labels.site}-{serial_number}"\n')
    declare("kiosks/_defaults.yaml", "configuration:\n  channel: auto\n  ntp: pool\n$lock: [configuration.ntp]\n")
    group = "group: fr\nselect: {$labels: {site: paris}}\nset:\n  configuration: {channel: 11}\n"
    declare("_groups/fr.yaml", group)
    declare("kiosks/a.yaml", "serial_number: K-0001\n")
    declare("kiosks/b.yaml", "serial_number: K-0002\nconfiguration: {channel: 6}\n")


@pytest.mark.usefixtures("fleet")
def test_without_a_path_every_value_has_its_place(run: Run) -> None:
    ran = run("explain", "K-0002")

    assert (ran.code, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == [
        "K-0002  inventory/kiosks/b.yaml:1:1",
        "  labels  site: paris  inventory/_defaults.yaml:1:17",
        "  groups  fr           inventory/_groups/fr.yaml:1:8",
        "",
        '  name                   "paris-K-0002"  inventory/_defaults.yaml:2:7  from "{$labels.site}-{serial_number}"',
        "  configuration.channel  6               inventory/kiosks/b.yaml:2:26  (shadows 2)",
        '  configuration.ntp      "pool"          inventory/kiosks/_defaults.yaml:3:8',
        "",
        "  locks  configuration.ntp  inventory/kiosks/_defaults.yaml:4:9",
        "",
        "  applied  never",
        "  plan     adopt",
    ]


@pytest.mark.usefixtures("fleet")
def test_with_a_path_every_layer_is_told_from_the_top_down(run: Run, sandbox: Sandbox) -> None:
    sandbox.seed("K-0001", "K-0002")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    ran = run("explain", "K-0002", "configuration.channel")

    lines = ran.stdout.splitlines()
    assert lines[4:8] == [
        "configuration.channel = 6",
        "  →  sets            6       inventory/kiosks/b.yaml:2:26          device",
        "     sets, shadowed  11      inventory/_groups/fr.yaml:4:28        group fr",
        '     sets, shadowed  "auto"  inventory/kiosks/_defaults.yaml:2:12',
    ]
    assert lines[8].startswith("  applied  6  20")
    assert ", run " in lines[8]
    assert lines[9:] == ["  plan     no change"]


@pytest.mark.usefixtures("fleet")
def test_the_story_ends_with_what_the_plan_would_send(run: Run, sandbox: Sandbox, declare: Declare) -> None:
    sandbox.seed("K-0001", "K-0002")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    declare("kiosks/b.yaml", "serial_number: K-0002\n")

    assert "  plan     update  6 → 11" in run("explain", "K-0002", "configuration").stdout.splitlines()


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("path", ["", "configuration"])
def test_the_json_document_fits_its_schema(run: Run, sandbox: Sandbox, path: str) -> None:
    sandbox.seed("K-0001", "K-0002")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    ran = run("explain", "K-0001", *([path] if path else []), "--format", "json")
    document = json.loads(ran.stdout)

    jsonschema_rs.validator_for(packaged_schema("explain"), validate_formats=True).validate(document)
    assert document["standing"] == "applied"
    [channel] = [item for item in document["values"] if item["path"] == "/configuration/channel"]
    assert [said["value"] for said in channel["said"] if said["wins"]] == [channel["value"]] == [11]
    assert channel["carried"]["kind"] == "applied"


@pytest.mark.usefixtures("fleet")
def test_a_device_that_left_is_told_from_the_state(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.seed("K-0001", "K-0002")
    assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
    (tmp_path / "inventory" / "kiosks" / "b.yaml").unlink()
    ran = run("explain", "K-0002")

    assert ran.stdout.splitlines()[0] == "K-0002  no longer in the inventory"
    assert "  configuration.channel  6               not declared" in ran.stdout.splitlines()
    assert ran.stdout.splitlines()[-1] == ("  plan     release: no longer in the inventory, forgotten, nothing is sent")


@pytest.mark.usefixtures("fleet")
def test_what_is_nowhere_is_a_usage_error(run: Run) -> None:
    serial, path = run("explain", "K-002"), run("explain", "K-0002", "configuration.chanel")

    assert (serial.code, serial.stdout, path.code, path.stdout) == (64, "", 64, "")
    assert serial.stderr == "error: K-002 is neither in the inventory nor in the state; did you mean K-0002?\n"
    assert path.stderr == "error: K-0002 has no configuration.chanel; did you mean configuration.channel?\n"


def test_an_inventory_with_problems_is_told_instead(run: Run, declare: Declare) -> None:
    declare("a.yaml", serial_number="A", status="broken")
    ran = run("explain", "A")

    assert (ran.code, ran.stdout) == (1, "")
    assert "[RC406]" in ran.stderr


@pytest.mark.usefixtures("fleet")
def test_who_wrote_a_line_is_told_and_cannot_reach_the_terminal(run: Run, tmp_path: Path, declare: Declare) -> None:
    people = {f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    dated = {"GIT_AUTHOR_DATE": "2026-11-20T09:00:00Z", "PATH": os.environ["PATH"], "GIT_AUTHOR_NAME": HOSTILE}
    for command in (["init", "-q"], ["add", "inventory"], ["commit", "-q", "-m", f"Move{HOSTILE} to 6 (#42)"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], env={**people, **quiet, **dated}, check=True)
    declare("_groups/fr.yaml", "group: fr\nselect: {$labels: {site: paris}}\nset:\n  configuration: {channel: 12}\n")

    told = run("explain", "K-0002", "configuration.channel", environ=quiet).stdout
    fresh = run("explain", "K-0001", "configuration.channel", environ=quiet).stdout

    assert "  line     2026-11-20 Ada\\u202e\\u001b[31m, " in told
    assert "Move" in told
    assert "(#42)" in told
    assert "\x1b" not in told + fresh
    assert "\u202e" not in told + fresh
    assert "  line     not committed yet" in fresh.splitlines()


def test_a_secret_is_not_shown_in_any_form(run: Run, declare: Declare, tmp_path: Path) -> None:
    schema = {"properties": {"pin": {"writeOnly": True}}}
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "device.schema.json").write_text(json.dumps(schema))
    declare("a.yaml", 'serial_number: A\npin: "hunter2"\n')

    for form in ("text", "json"):
        told = run("explain", "A", "--format", form).stdout
        one = run("explain", "A", "pin", "--format", form).stdout
        assert "hunter2" not in told + one
        assert "(sensitive)" in told
        assert "(sensitive)" in one
