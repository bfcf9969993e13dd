"""What an index was once fooled by: a plan with one is still the plan without."""

import errno
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conftest import FIRST, Declare, Run

from reconciler import reconcile
from reconciler.config import load
from reconciler.fleet import parts
from reconciler.inventory.files import Folder, folders
from reconciler.model import Json, Problem
from reconciler.plan.plan_file import to_json
from reconciler.sandbox.server import Sandbox
from reconciler.watch import Advance, Watch


@pytest.fixture
def applied(run: Run, sandbox: Sandbox) -> Callable[..., None]:
    """Applies the inventory, which declares these devices, and plans: an index knows that nothing is to be done."""

    def apply(*serials: str) -> None:
        sandbox.seed(*serials)
        assert run("apply", "--auto-approve", environ=sandbox.environ).code == 0
        assert "No changes" in run("plan").stdout

    return apply


def test_defaults_that_move_to_a_folder_below_are_told_of_by_their_new_name(
    declare: Declare, run: Run, applied: Callable[..., None], tmp_path: Path
) -> None:
    declare("a/_defaults.yaml", "status: active\n$lock: [status, configuration.none]\n")
    declare("a/b/ap.yaml", serial_number="AP-1")
    applied("AP-1")
    assert "inventory/a/_defaults.yaml:2:17: warning" in run("plan").stderr

    (tmp_path / "inventory/a/_defaults.yaml").rename(tmp_path / "inventory/a/b/_defaults.yaml")

    assert "inventory/a/b/_defaults.yaml:2:17: warning" in run("plan").stderr
    assert run("plan") == run("plan", "--no-cache")


def test_a_setting_that_the_schema_does_not_know_is_told_of_though_nothing_moved(
    declare: Declare, run: Run, applied: Callable[..., None], tmp_path: Path
) -> None:
    declare("ap.yaml", serial_number="AP-1", status="active")
    applied("AP-1")
    (tmp_path / "reconciler.toml").write_text('[guard]\nprotected = ["statsu"]\n')

    ran = run("plan")

    assert (ran.code, "did you mean status?" in ran.stderr) == (1, True)
    assert ran == run("plan", "--no-cache")


@pytest.mark.parametrize("spoil", [Path.mkdir, os.mkfifo, lambda path: path.write_text("#" * 1_200_000)])
def test_a_layer_that_cannot_be_read_any_more_is_not_taken_for_the_empty_one_it_was(
    declare: Declare, run: Run, applied: Callable[..., None], spoil: Callable[[Path], None]
) -> None:
    layer = declare("a/_defaults.yaml", "# nothing\n")
    layer.write_bytes(b"")
    declare("a/ap.yaml", serial_number="AP-1", status="active")
    applied("AP-1")

    layer.unlink()
    spoil(layer)

    ran = run("plan")
    assert ran.code == 1
    assert "inventory/a/_defaults.yaml:1:1" in ran.stderr
    assert ran == run("plan", "--no-cache")


def test_an_override_in_a_layer_ends_however_the_word_is_written(
    declare: Declare, applied: Callable[..., None], tmp_path: Path
) -> None:
    today = datetime.now(UTC).date().isoformat()
    override = f"{{status: {{value: inactive, until: '{today}', reason: test}}}}"
    declare("_defaults.yaml", f'status: active\n"\\x24override": {override}\n')
    declare("ap.yaml", serial_number="AP-1")
    applied("AP-1")
    settings = load(tmp_path, {"XDG_CACHE_HOME": f"{tmp_path}.cache"})
    tomorrow = time.time() + 24 * 3600

    indexed, whole = (reconcile.plan(it, clock=lambda: tomorrow) for it in (settings, replace(settings, cache=None)))

    assert to_json(indexed) == to_json(whole)
    assert [change.serial for change in indexed.changes] == ["AP-1"]


def test_an_inventory_of_a_single_file_is_planned_like_any_other(
    declare: Declare, run: Run, applied: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "reconciler.toml").write_text('inventory = "inventory/fleet.yaml"\n')
    declare("other.yaml", serial_number="AP-9")
    declare("fleet.yaml", devices=[{"serial_number": "AP-1", "name": "one"}, {"serial_number": "AP-2"}])
    applied("AP-1", "AP-2")

    declare("fleet.yaml", devices=[{"serial_number": "AP-1", "name": "two"}])
    ran = run("plan")

    assert ran == run("plan", "--no-cache")
    assert "Plan: 0 to adopt, 1 to update, 1 to release." in ran.stdout


@pytest.mark.skipif(os.uname().sysname == "Darwin", reason="its file names are always UTF-8")
def test_names_that_are_no_text_are_planned_like_any_other(declare: Declare, run: Run, tmp_path: Path) -> None:
    declare("a/ap.yaml", serial_number="AP-1")
    declare("_groups/g.yaml", "group: g\nselect: {serial_number: AP-1}\nset: {status: active}\n")
    declare("_defaults.yaml", "configuration: {vlan: 1}\n")
    for name in ("a/ap.yaml", "_groups/g.yaml", "a"):
        path = tmp_path / "inventory" / name
        path.rename(path.with_name(os.fsdecode(b"\xff") + path.name))

    found = list(folders(tmp_path, tmp_path / "inventory", time.time_ns() + 10_000_000_000))
    ran = run("plan")

    assert not [item for item in found if isinstance(item, Problem)]
    assert all(item.mark for item in found if isinstance(item, Folder))
    assert (ran.code, "Plan: 1 to adopt" in ran.stdout) == (0, True)


@pytest.fixture
def renamed(declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path) -> Callable[[str], None]:
    """Gives all devices a name and applies that, without a look at any index."""
    (tmp_path / "reconciler.toml").write_text("api.rate_per_second = 1000\n")

    def rename(name: str) -> None:
        for number in range(60):
            declare(f"{number}.yaml", serial_number=f"AP-{number}", name=name)
        allowed = ("--allow", "max_changed_pct")
        assert run("apply", "--auto-approve", "--no-cache", *allowed, environ=sandbox.environ).code == 0

    return rename


def index_of(root: Path) -> Path:
    [index] = Path(f"{root}.cache").rglob("*.db")
    return index


KILLED = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("PRAGMA cache_size = 5")
db.execute("UPDATE file SET sum = zeroblob(3000)")
db.execute("UPDATE device SET sum = zeroblob(3000)")
os.kill(os.getpid(), 9)
"""


def test_what_a_killed_plan_left_to_be_undone_is_not_undone_in_a_new_index(
    renamed: Callable[[str], None], declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.seed(*(f"AP-{number}" for number in range(60)))
    renamed("one")
    run("plan")
    subprocess.run([sys.executable, "-c", KILLED, index_of(tmp_path)], check=False)
    journal = Path(f"{index_of(tmp_path)}-journal")
    assert journal.stat().st_size > 10_000
    index_of(tmp_path).unlink()
    renamed("two")
    run("plan")
    for number in range(60):
        declare(f"{number}.yaml", serial_number=f"AP-{number}", name="one")

    ran = run("plan")

    assert "60 to update" in ran.stdout
    assert ran == run("plan", "--no-cache")


def test_an_index_that_another_plan_writes_is_not_replaced(
    renamed: Callable[[str], None], run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.seed(*(f"AP-{number}" for number in range(60)))
    renamed("one")
    run("plan")
    before = index_of(tmp_path).stat().st_ino
    with closing(sqlite3.connect(index_of(tmp_path))) as writing:
        writing.execute("UPDATE meta SET value = '0' WHERE key = 'format'")
        ran = run("plan")

        assert (ran.code, "No changes" in ran.stdout) == (0, True)
        assert index_of(tmp_path).stat().st_ino == before
        writing.commit()
    run("plan")
    assert index_of(tmp_path).stat().st_ino != before


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE meta SET value = '2026' WHERE key = 'head'",
        "UPDATE meta SET value = x'ff' WHERE key = 'mark'",
        "UPDATE meta SET value = x'ff' WHERE key = 'head'",
        "INSERT INTO fact SELECT 'no JSON', id FROM file",
    ],
)
def test_an_index_that_holds_what_no_plan_writes_is_made_anew(
    declare: Declare, run: Run, tmp_path: Path, damage: str
) -> None:
    declare("ap.yaml", serial_number="AP-1")
    run("plan")
    with closing(sqlite3.connect(index_of(tmp_path))) as index, index:
        index.execute(damage)

    ran = run("plan")

    assert ran == run("plan", "--no-cache")
    assert ran.code == 0


def test_an_index_that_lacks_its_end_is_made_anew(
    declare: Declare, run: Run, applied: Callable[..., None], tmp_path: Path
) -> None:
    declare("_groups/g.yaml", "group: g\nselect: {status: active}\nset: {location: Lyon}\n")
    for number in range(3):
        declare(f"{number}.yaml", serial_number=f"AP-{number}", status="active")
    applied(*(f"AP-{number}" for number in range(3)))
    time.sleep(2.1)  # until the status of a file tells whether it moved
    for cut in (1, 50, 2000, 4095):
        run("plan")
        os.truncate(index_of(tmp_path), index_of(tmp_path).stat().st_size - cut)

        assert "index: the index is damaged" in run("-v", "plan").stderr
        assert run("plan") == run("plan", "--no-cache")


def test_an_index_whose_numbers_are_used_up_is_made_anew(
    declare: Declare, run: Run, applied: Callable[..., None], tmp_path: Path
) -> None:
    declare("a.yaml", serial_number="AP-1")
    applied("AP-1")
    with closing(sqlite3.connect(index_of(tmp_path))) as index, index:
        index.execute("UPDATE file SET id = ?", (2**63 - 1,))
        index.execute("UPDATE device SET file = ?", (2**63 - 1,))
    declare("b.yaml", serial_number="AP-2")

    ran = run("plan")

    assert ran == run("plan", "--no-cache")
    assert "1 to adopt" in ran.stdout


def test_plans_go_without_an_index_where_there_is_no_room_for_one(
    declare: Declare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare("ap.yaml", serial_number="AP-1")
    settings = load(tmp_path, {"XDG_CACHE_HOME": f"{tmp_path}.cache"})
    make = tempfile.mkdtemp

    def full(suffix: str | None = None, prefix: str | None = None, dir: Path | None = None) -> str:  # noqa: A002
        if dir == settings.cache:
            raise OSError(errno.ENOSPC, "No space left on device")
        return make(suffix, prefix, dir)

    monkeypatch.setattr(tempfile, "mkdtemp", full)

    assert [change.serial for change in reconcile.plan(settings).changes] == ["AP-1"]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_layer_that_was_another_while_the_files_were_read_is_not_remembered(
    declare: Declare, run: Run, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, processes: int
) -> None:
    sandbox.seed("AP-1")
    declare("ap.yaml", serial_number="AP-1")
    declare("_defaults.yaml", "status: active\n")
    settings = replace(load(tmp_path, {"XDG_CACHE_HOME": f"{tmp_path}.cache"}), processes=processes)
    monkeypatch.setattr(parts, "ALONE", 0)

    class Meanwhile(Watch):
        def stage(self, name: str, total: int | None = None, unit: str = "") -> AbstractContextManager[Advance]:
            if name == "read":
                declare("_defaults.yaml", "status: inactive\n")
                assert run("apply", "--auto-approve", "--no-cache", environ=sandbox.environ).code == 0
            return super().stage(name, total, unit)

    reconcile.plan(settings, watch=Meanwhile())
    declare("_defaults.yaml", "status: active\n")

    assert [change.serial for change in reconcile.plan(settings).changes] == ["AP-1"]


def test_a_device_that_somebody_forgot_is_adopted_again(
    declare: Declare, run: Run, applied: Callable[..., None]
) -> None:
    declare("ap.yaml", serial_number="AP-1", status="active")
    applied("AP-1")

    assert run("state", "forget", "AP-1", "--auto-approve").code == 0
    indexed, alone = run("plan"), run("plan", "--no-cache")

    assert "1 to adopt" in alone.stdout
    assert indexed.stdout == alone.stdout


def test_a_group_that_still_selects_a_device_whose_file_did_not_move_is_not_said_to_select_none(
    declare: Declare, run: Run, applied: Callable[..., None]
) -> None:
    declare("_groups/g.yaml", "group: g\nselect: {status: active}\nset: {location: Lyon}\n")
    declare("a.yaml", serial_number="AP-1", status="active")
    declare("b.yaml", serial_number="AP-2", status="active")
    applied("AP-1", "AP-2")

    declare("a.yaml", serial_number="AP-1", status="inactive")
    indexed, alone = run("plan"), run("plan", "--no-cache")

    assert (indexed.stdout, indexed.stderr) == (alone.stdout, alone.stderr)
    assert "selects no device" not in alone.stderr


def test_values_that_clash_and_devices_that_nobody_declares_are_found_whichever_files_were_read(
    declare: Declare, run: Run, tmp_path: Path
) -> None:
    properties = {"mac": {"x-unique": True}, "uplink": {"x-references": True}, "serial_number": {"type": "string"}}
    (tmp_path / "schema.json").write_text(json.dumps({"type": "object", "properties": properties}))
    (tmp_path / "reconciler.toml").write_text('schema = "schema.json"\n')
    for number in range(6):
        declare(f"{number}.yaml", serial_number=f"S-{number}", mac=f"m{number}", uplink=f"S-{(number + 1) % 6}")
    assert "6 to adopt" in run("plan").stdout

    def problems() -> list[tuple[str, str]]:
        ran = run("plan")
        assert ran == run("plan", "--no-cache")
        return re.findall(r"(?m)^inventory/(\d).yaml:\d+:\d+: .*\[(RC\d+)\]$", ran.stderr)

    declare("4.yaml", serial_number="S-4", mac="M1", uplink="S-5")
    assert problems() == [("4", "RC617")]
    declare("4.yaml", serial_number="S-4", mac="m4", uplink="S-9")
    assert problems() == [("4", "RC618")]
    declare("4.yaml", serial_number="S-4", mac="m4", uplink="S-5")
    (tmp_path / "inventory/2.yaml").unlink()
    assert problems() == [("1", "RC618")]


def test_a_device_that_leaves_is_missed_by_one_that_refers_to_it_though_no_file_has_to_be_read(
    declare: Declare, run: Run, applied: Callable[..., None], tmp_path: Path
) -> None:
    properties = {"location": {"type": "string", "x-references": True}, "serial_number": {"type": "string"}}
    (tmp_path / "schema.json").write_text(json.dumps({"type": "object", "properties": properties}))
    (tmp_path / "reconciler.toml").write_text('schema = "schema.json"\n')
    declare("a.yaml", serial_number="AP-1", location="AP-2")
    ours = declare("b.yaml", serial_number="AP-2")
    applied("AP-1", "AP-2")
    assert run("state", "forget", "AP-2", "--auto-approve").code == 0
    assert "1 to adopt" in run("plan").stdout

    ours.unlink()

    ran = run("plan")
    assert ran == run("plan", "--no-cache")
    assert "AP-1.location refers to" in ran.stderr


def test_a_state_that_was_altered_past_its_journal_is_told_of_though_nothing_moved(
    declare: Declare, run: Run, applied: Callable[..., None], tmp_path: Path
) -> None:
    declare("ap.yaml", serial_number="AP-1")
    applied("AP-1")
    with closing(sqlite3.connect(tmp_path / ".reconciler/state.db")) as state, state:
        assert state.execute("DELETE FROM device").rowcount == 1

    ran = run("plan")

    assert ran == run("plan", "--no-cache")
    assert ran.code != 0
    assert "state" in ran.stderr


def test_a_folder_that_went_and_came_back_is_read_again(
    declare: Declare, run: Run, applied: Callable[..., None], tmp_path: Path
) -> None:
    declare("ap.yaml", serial_number="AP-1")
    declare("a/ap.yaml", serial_number="AP-2")
    applied("AP-1", "AP-2")
    time.sleep(2.1)  # until the status of a file tells whether it moved
    run("plan")
    inside, away = tmp_path / "inventory/a", tmp_path / "away"

    inside.rename(away)
    assert "1 to release" in run("plan").stdout
    away.rename(inside)

    assert "No changes" in run("plan").stdout


@pytest.mark.parametrize("whose", ["of a device", "of a file"])
def test_an_override_of_devices_ends_though_their_file_did_not_move(
    declare: Declare, applied: Callable[..., None], tmp_path: Path, whose: str
) -> None:
    override: Json = {"status": {"value": "inactive", "until": datetime.now(UTC).date().isoformat(), "reason": "test"}}
    device: dict[str, Json] = {"serial_number": "AP-1"}
    if whose == "of a device":
        declare("ap.yaml", **device, status="active", **{"$override": override})
    else:
        declare("ap.yaml", defaults={"status": "active", "$override": override}, devices=[device])
    applied("AP-1")
    settings = load(tmp_path, {"XDG_CACHE_HOME": f"{tmp_path}.cache"})
    tomorrow = time.time() + 24 * 3600

    indexed, whole = (reconcile.plan(it, clock=lambda: tomorrow) for it in (settings, replace(settings, cache=None)))

    assert to_json(indexed) == to_json(whole)
    assert [change.serial for change in indexed.changes] == ["AP-1"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_an_index_of_somebody_else_is_not_trusted(
    declare: Declare, run: Run, applied: Callable[..., None], tmp_path: Path
) -> None:
    declare("ap.yaml", serial_number="AP-1")
    applied("AP-1")
    with closing(sqlite3.connect(index_of(tmp_path))) as index, index:
        index.execute("INSERT INTO extra VALUES ('AP-1')")
        index.execute("UPDATE device SET serial = 'AP-9'")
    assert "to release" in run("plan").stdout
    os.chown(index_of(tmp_path), 65534, 65534)

    assert "No changes" in run("plan").stdout


def test_only_its_user_may_look_into_the_folder_of_an_index(declare: Declare, tmp_path: Path) -> None:
    declare("ap.yaml", serial_number="AP-1")
    before = os.umask(0)
    try:
        reconcile.plan(load(tmp_path, {"XDG_CACHE_HOME": f"{tmp_path}.cache"}))
    finally:
        os.umask(before)

    folder = index_of(tmp_path).parent
    assert (folder.name, oct(folder.stat().st_mode & 0o777)) == ("reconciler", "0o700")


def test_who_declares_a_device_first_is_told_whichever_files_were_read(
    declare: Declare, run: Run, applied: Callable[..., None]
) -> None:
    declare("a.yaml", serial_number="AP-1")
    applied("AP-1")
    declare("b.yaml", serial_number="AP-1")
    declare("c.yaml", serial_number="AP-1")

    ran = run("plan")

    assert ran == run("plan", "--no-cache")
    assert "inventory/c.yaml:2:20: AP-1 is declared twice; first at inventory/a.yaml:2:20" in ran.stderr


def test_of_more_problems_than_are_listed_the_same_are_listed_whichever_files_were_read(
    declare: Declare, run: Run, applied: Callable[..., None]
) -> None:
    declare("a.yaml", devices=[{"serial_number": f"AP-{number}"} for number in range(30)])
    applied(*(f"AP-{number}" for number in range(30)))
    devices: list[Json] = [{"serial_number": f"B-{number}", "$bogus": 1, "name": number} for number in range(110)]
    devices += [{"serial_number": f"AP-{number}"} for number in range(30)]
    declare("b.yaml", devices=devices)

    ran = run("plan")

    assert "more problems of this file are not listed" in ran.stderr
    assert ran.stderr.count("[RC307]") == 30
    assert ran == run("plan", "--no-cache")
    assert ran.stderr.splitlines()[:-1] == run("validate").stdout.splitlines()[:-1]


def test_a_verbose_plan_says_why_every_file_is_read_and_what_stands_in_the_way_of_an_index(
    declare: Declare, run: Run, applied: Callable[..., None], tmp_path: Path
) -> None:
    def why(*options: str) -> str:
        return run("-v", "plan", *options).stderr

    declare("ap.yaml", serial_number="AP-1")
    assert why() == f"index: there is no index yet; every file is read\n{FIRST}Carry it out with: reconciler apply\n"
    applied("AP-1")
    assert why() == why("--no-cache") == ""

    declare("_groups/g.yaml", "group: g\nselect: {serial_number: AP-1}\nset: {}\n")
    assert "a setting, a group, the day) has changed; every file is read" in why()
    (tmp_path / ".reconciler/state.db").rename(tmp_path / "aside.db")
    assert "index: the state is another, or moved otherwise than by its journal; every file is read" in why()
    index_of(tmp_path).write_bytes(b"x" * 5000)
    assert "index: the index is damaged; every file is read" in why()
    cache = index_of(tmp_path).parent
    index_of(tmp_path).unlink()
    cache.rmdir()
    cache.write_text("no folder")
    assert f"index: no index can be written in {cache}; every file is read" in why()
