"""The whole cycle against a sandbox, with the real commands: a demonstration that fails when the product does."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import click

from reconciler.config import load
from reconciler.errors import InventoryError, ReconcilerError
from reconciler.inventory.schema import packaged_path
from reconciler.model import DesiredState, Json
from reconciler.reconcile import validate
from reconciler.sandbox.server import Sandbox, running

_SERIAL: Final = "ABC123456789"
_FILE: Final = "inventory/laptops/conference-room.yaml"
_DEFAULTS: Final = "inventory/kiosks/_defaults.yaml"
_KIOSKS: Final = 4
"""Those that say nothing about it themselves."""
_SCHEMA: Final = "schemas/device.schema.json"
_SETTINGS: Final = "[api] # a sandbox on this machine needs no patience\nrate_per_second = 1000\nburst = 1000\n"
_HEAD: Final = 8
_TAIL: Final = 3
"""Lines that are shown of a long output; the middle is left out."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the commands run. `program` is what "reconciler" stands for, `color` whether a person is watching."""

    folder: Path
    program: Sequence[str]
    environ: Mapping[str, str]
    sandbox: Sandbox
    color: bool


def demonstrate(program: Sequence[str], environ: Mapping[str, str], *, color: bool) -> None:
    """Show validate, plan, apply, an edit, and a refusal on standard output.

    Works on a copy of the example inventory in a temporary folder; raises ReconcilerError when a step goes wrong.
    """
    with TemporaryDirectory(prefix="reconciler-demo-") as temporary:
        folder = Path(temporary)
        shutil.copytree(_example_inventory(), folder / "inventory")
        (folder / _SCHEMA).parent.mkdir()
        shutil.copyfile(packaged_path("device"), folder / _SCHEMA)
        (folder / "reconciler.toml").write_text(_SETTINGS, encoding="utf-8")
        found = validate(load(folder, {}))
        if found.problems:
            raise InventoryError(found.problems)
        own = {name: value for name, value in environ.items() if not name.startswith("RECONCILER_")}
        with running(seed=found.desired.devices) as sandbox:
            stage = Stage(folder, program, {**own, **sandbox.environ}, sandbox, color)
            _adopt(stage, found.desired, found.files)
            _update(stage)
            _many(stage)
            _rejected(stage)
    _say(
        "That was the whole cycle. The server is stopped, and the temporary folder is gone.",
        "README.md goes on from here: the same with your own hands, then with your own devices.",
    )


def _example_inventory() -> Path:
    """In a wheel it is inside this package, in a checkout at the top."""
    inside = Path(__file__).parent / "inventory"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "inventory"


def _adopt(stage: Stage, desired: DesiredState, files: int) -> None:
    managed = {serial: device for serial, device in desired.devices.items() if device.manage == "apply"}
    devices = len(managed)
    _say(
        f"The example inventory: {len(desired.devices)} devices in {files} YAML files, in a temporary folder.",
        "A simulated server on this machine knows their serial numbers, and nothing else about them.",
    )
    exports = " ".join(f"{name}={value}" for name, value in stage.sandbox.environ.items())
    _prompt(f"export {exports}")
    click.echo()
    _say("Are the files right?")
    _reconciler(stage, "validate")
    _say("What would be sent? Nothing was ever applied, so every declared field.")
    _reconciler(stage, "plan", says=f"{devices} to adopt")
    _say("Send it.")
    _reconciler(stage, "apply", "--auto-approve")
    puts = stage.sandbox.requests("PUT")
    _expect(
        len(puts) == devices and all(put.status == HTTPStatus.OK for put in puts),
        f"{devices} PUTs, one for each device, all answered 200; the server saw {len(puts)}",
    )
    _expect(
        all(device.fields.items() <= stage.sandbox.device(serial).items() for serial, device in managed.items()),
        "every device on the server as declared",
    )
    _say(f"The server saw {devices} PUTs, one for each device, and every device is now as declared.")
    _reconciler(stage, "plan", says="No changes")


def _update(stage: Stage) -> None:
    _say("The conference laptop moves to another room: one line in its file.")
    _edit(stage, _FILE, "location: Building A - Room 101", "location: Building B - Room 204")
    _say("What would be sent now? One field of one device.")
    _reconciler(stage, "plan", says="1 to update")
    _say("Send that.")
    stage.sandbox.forget_requests()
    _reconciler(stage, "apply", "--auto-approve")
    _say("The server's own log: one PUT, with one field.")
    _received(stage, 200, {"location": "Building B - Room 204"})
    _say("And once more: there is nothing left to do.")
    _reconciler(stage, "plan", says="No changes")


def _many(stage: Stage) -> None:
    _say("Kiosks share their defaults. One line there changes all that do not say otherwise.")
    _edit(stage, _DEFAULTS, "idle_reset_seconds: 60", "idle_reset_seconds: 90")
    _say("The plan says it once, with the line that causes it.")
    _reconciler(stage, "plan", says=f"on {_KIOSKS} devices")
    stage.sandbox.forget_requests()
    _reconciler(stage, "apply", "--auto-approve", says=f"{_KIOSKS} applied")
    _expect(len(stage.sandbox.requests("PUT")) == _KIOSKS, f"{_KIOSKS} PUTs")
    _say("Why does a device have a value? Every line that speaks of it, and the one that wins.")
    _reconciler(stage, "explain", "E21C004502", "configuration.screen_on", says="hamburg-hours")


def _rejected(stage: Stage) -> None:
    _say(
        "The last word is the server's. The schema is yours to extend, here with a status that this server",
        "does not know.",
    )
    _edit(stage, _SCHEMA, '"decommissioned", "retired"]', '"decommissioned", "retired", "quarantined"]')
    _edit(stage, _FILE, "status: active", "status: quarantined")
    stage.sandbox.forget_requests()
    _reconciler(stage, "apply", "--auto-approve", exit_code=3)
    _prompt("echo $?")
    click.echo("3\n")
    _received(stage, 422, {"status": "quarantined"})
    _say(
        "Exit code 3: the run came to its end, and some device is not as declared. The server kept what it had,",
        "and the change stays in the plan until somebody corrects it.",
    )
    _reconciler(stage, "plan", says="1 to update")


def _reconciler(stage: Stage, *arguments: str, exit_code: int = 0, says: str = "") -> None:
    """Run the real command and show it with its output, which must hold `says`."""
    command = "reconciler " + " ".join(arguments)
    _prompt(command)
    color = "always" if stage.color else "never"
    width = str(shutil.get_terminal_size().columns)
    with subprocess.Popen(  # noqa: S603 - our own program
        [*stage.program, "--color", color, *arguments],
        cwd=stage.folder,
        env={**stage.environ, "COLUMNS": width},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    ) as program:
        try:
            said, _ = program.communicate()
        finally:
            program.wait()  # also after Ctrl-C, when `with` does not
    lines = said.rstrip("\n").split("\n")
    if len(lines) > 2 * (_HEAD + _TAIL):
        lines[_HEAD:-_TAIL] = [click.style(f"  ⋮ {len(lines) - _HEAD - _TAIL} more lines", dim=True)]
    click.echo("\n".join(lines) + "\n")
    _expect(program.returncode == exit_code, f"exit code {exit_code} of `{command}`; it was {program.returncode}")
    _expect(says in click.unstyle(said), f'`{command}` to say "{says}"')


def _edit(stage: Stage, file: str, old: str, new: str) -> None:
    path = stage.folder / file
    text = path.read_text(encoding="utf-8")
    _expect(text.count(old) == 1, f"{old!r} once in {file}")
    path.write_text(text.replace(old, new), encoding="utf-8")
    _prompt(f"$EDITOR {file}")
    click.secho(f"- {old}", fg="red")
    click.secho(f"+ {new}\n", fg="green")


def _received(stage: Stage, status: int, body: dict[str, Json]) -> None:
    puts = stage.sandbox.requests("PUT")
    for put in puts:
        click.echo(f"  {put}")
    click.echo()
    _expect(
        [(put.serial, put.status, put.body) for put in puts] == [(_SERIAL, status, body)],
        f"one PUT to {_SERIAL} with {body}, answered {status}",
    )


def _say(*lines: str) -> None:
    for line in lines:
        click.secho(f"# {line}", fg="cyan")


def _prompt(command: str) -> None:
    click.echo(click.style("$ ", fg="green") + click.style(command, bold=True))


def _expect(kept: bool, what: str) -> None:  # noqa: FBT001 - a claim and its words
    if not kept:
        raise ReconcilerError(f"the demo went wrong: expected {what}")
