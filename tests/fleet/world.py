"""A repository that things happen to, and a state that somebody applies to."""

import json
import os
import random
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from reconciler import reconcile
from reconciler.change_json import field_to_json
from reconciler.config import Settings
from reconciler.config import load as load_settings
from reconciler.errors import InventoryError
from reconciler.model import ABSENT, Action, Change, Draft, EntryKind, Json
from reconciler.state.holder import this_process
from reconciler.state.open import open_state

AT = "2026-01-01T00:00:00.000Z"
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["serial_number"],
    "additionalProperties": False,
    "properties": {
        "serial_number": {"type": "string"},
        "name": {"type": "string", "maxLength": 12},
        "mac": {"type": "string", "x-unique": True},
        "uplink": {"type": "string", "x-references": True},
        "tags": {"type": "array", "uniqueItems": True},
        "configuration": {"type": "object"},
        "secret": {"type": "string"},
    },
}


class World:
    """One walk through what may happen, the same for the same seed."""

    def __init__(self, root: Path, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - a walk that can be taken again
        self.root, self.inventory = root, root / "inventory"
        self.today = date(2026, 3, 1)
        self.toml: dict[str, str] = {}
        self.schema = json.loads(json.dumps(SCHEMA))
        (root / "schemas").mkdir(parents=True)
        self.inventory.mkdir()
        self.save()
        for _ in range(8):
            self.add()
        self.log: list[str] = []
        self.skipped = 0
        self.number = 0
        self.repair()

    def save(self) -> None:
        (self.root / "schemas" / "device.schema.json").write_text(json.dumps(self.schema))
        (self.root / "reconciler.toml").write_text("\n".join(f"{key} = {value}" for key, value in self.toml.items()))

    def settings(self) -> Settings:
        return load_settings(self.root, {"XDG_CACHE_HOME": f"{self.root}.cache"})

    def files(self) -> list[Path]:
        return sorted(self.inventory.rglob("[!_]*.yaml"))

    def file(self) -> Path:
        return self.chance.choice([file for file in self.files() if "_groups" not in file.parts] or [self.add()])

    def add(self) -> Path:
        folder = self.inventory / self.chance.choice(["", "a", "a/b", "c"])
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{self.chance.randrange(30)}.yaml"
        many = self.chance.random() < 0.4
        devices: list[Json] = [self.device() for _ in range(self.chance.randrange(1, 4))]
        content: Json = {"devices": devices} if many else devices[0]
        if many and self.chance.random() < 0.3:
            content = {"defaults": {"name": "shared"}, "devices": devices}
        file.write_text(json.dumps(content, indent=self.chance.choice([None, 1])))
        return file

    def device(self) -> dict[str, Json]:
        chance = self.chance
        number = chance.randrange(60)
        device: dict[str, Json] = {"serial_number": f"D-{number}" if chance.random() < 0.97 else f"d-{number}"}
        if chance.random() < 0.7:
            device["name"] = chance.choice(["one", "two", "of {serial_number}", "in {$labels.site}"])
        if chance.random() < 0.5:
            device["configuration"] = {"vlan": chance.randrange(3), "deep": {"x": chance.randrange(2)}}
        if chance.random() < 0.3:
            device["tags"] = chance.sample(["a", "b", "c"], chance.randrange(1, 4))
        if chance.random() < 0.2:
            device["mac"] = f"00:{chance.randrange(40)}"
        rare: list[dict[str, Json]] = [
            {"uplink": f"D-{chance.randrange(60)}"},
            {"$manage": chance.choice(["observe", "pause", "apply"])},
            {"$replaces": f"D-{chance.randrange(60, 70)}"},
            {"$labels": {"site": chance.choice(["paris", "lyon"])}},
            {"$override": {"name": {"value": "now", "until": self.day(), "reason": "test"}}},
            {"name": "much too long for this schema"},
            {"$unset": ["name"]},
            {"bogus": 1},
        ]
        if chance.random() < 0.25:
            device |= chance.choice(rare)
        return device

    def day(self) -> str:
        return (self.today + timedelta(days=self.chance.randrange(-2, 4))).isoformat()

    def step(self) -> None:
        acts: list[Callable[[], object]] = [
            *[self.add, self.edit, self.applies] * 3,
            *[self.rename, self.delete, self.touch, self.same_second] * 2,
            self.defaults,
            self.group,
            self.reschema,
            self.resettle,
            self.pass_time,
            self.damage,
            self.break_yaml,
            self.forget,
        ]
        act = self.chance.choice(acts)
        self.log.append(act.__name__)
        act()

    def repair(self) -> None:
        """Delete what has problems, and declare other devices instead."""
        for _ in range(20):
            problems = reconcile.validate(self.settings(), today=self.today).problems
            for file in {self.root / problem.source.file for problem in problems}:
                if file.suffix == ".json":
                    self.schema = json.loads(json.dumps(SCHEMA))
                    self.save()
                elif file.is_file():
                    file.unlink()
            while len(self.files()) < 8:
                self.number += 1
                content = {"serial_number": f"N-{self.number}", "name": "one", "tags": ["a", "b"]}
                (self.inventory / f"n{self.number}.yaml").write_text(json.dumps(content))
            if not problems:
                return

    def edit(self) -> None:
        file = self.file()
        file.write_text(json.dumps(self.device()))

    def rename(self) -> None:
        file = self.file()
        file.rename(file.with_name(f"r{self.chance.randrange(30)}.yaml"))

    def delete(self) -> None:
        if len(self.files()) > 3:
            self.file().unlink()

    def touch(self) -> None:
        file = self.file()
        if self.chance.random() < 0.5:
            file.touch()
        else:
            file.write_bytes(file.read_bytes())

    def same_second(self) -> None:
        """Another content of the same size, with the time of the old one."""
        file = self.file()
        status = file.stat()
        text = file.read_text()
        file.write_text(text.replace('"one"', '"two"') if '"one"' in text else text.replace('"two"', '"one"'))
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    def defaults(self) -> None:
        chance = self.chance
        file = self.inventory / chance.choice(["", "a", "a/b", "c"]) / "_defaults.yaml"
        if file.exists() and chance.random() < 0.4:
            file.unlink()
            return
        values: list[dict[str, Json]] = [
            {"configuration": {"vlan": chance.randrange(3)}},
            {"$labels": {"site": chance.choice(["paris", "rome"])}},
            {"name": "dflt", "$lock": ["configuration.deep"]},
            {"$manage": "observe"},
            {"$unset": ["tags"]},
            {"$override": {"name": {"value": "day", "until": self.day(), "reason": "test"}}},
        ]
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(json.dumps(chance.choice(values)))

    def group(self) -> None:
        chance = self.chance
        file = self.inventory / "_groups" / f"{chance.choice('xy')}.yaml"
        file.parent.mkdir(exist_ok=True)
        if file.exists() and chance.random() < 0.5:
            file.unlink()
            return
        select: list[Json] = [{"name": "one"}, {"$labels": {"site": "paris"}}, {"tags": "a"}, {"serial_number": "D-1*"}]
        content = {"group": file.stem, "select": chance.choice(select), "set": {"configuration": {"deep": {"x": 9}}}}
        file.write_text(json.dumps(content))

    def reschema(self) -> None:
        properties = self.schema["properties"]
        properties["tags"]["uniqueItems"] = self.chance.random() < 0.5
        properties["name"]["maxLength"] = self.chance.choice([5, 12, 40])
        properties["name"]["writeOnly"] = self.chance.random() < 0.2
        self.save()

    def resettle(self) -> None:
        self.toml["on_removed.field"] = self.chance.choice(['"release"', '"null"'])
        self.save()

    def pass_time(self) -> None:
        self.today += timedelta(days=self.chance.choice([1, 1, 2, -1]))

    def break_yaml(self) -> None:
        self.file().write_text(self.chance.choice(["a: [", "", "- 1", "serial_number: 5"]))

    def damage(self) -> None:
        for index in Path(f"{self.root}.cache").rglob("*.db"):
            content = bytearray(index.read_bytes())
            at = self.chance.randrange(len(content))
            index.write_bytes(self.chance.choice([bytes(content[:at]), b"", os.urandom(5000)]))

    def forget(self) -> None:
        (self.root / ".reconciler" / "state.db").unlink(missing_ok=True)

    def applies(self) -> None:
        """Somebody applies some of what is planned, and not all of it as they should."""
        try:
            plan = reconcile.plan(replace(self.settings(), cache=None), clock=self.clock)
        except InventoryError:
            return
        drafts = [draft for change in plan.changes if self.chance.random() < 0.9 for draft in self.outcome(change)]
        with closing(open_state(self.settings().state, self.root)) as backend:
            lease = backend.acquire(this_process({}), ttl=60)
            backend.append(lease, drafts)
            backend.release(lease)

    def outcome(self, change: Change) -> list[Draft]:
        if change.action is Action.RELEASE:
            return [Draft(EntryKind.RELEASED, AT, "r", change.serial)]
        fields: list[Json] = [field_to_json(replace(field, source=None, sensitive=False)) for field in change.fields]
        body: dict[str, Json] = {field.path.split("/")[1]: {} for field in change.fields if field.after is not ABSENT}
        intent = Draft(
            EntryKind.INTENT, AT, "r", change.serial, {"action": change.action, "fields": fields, "body": body}
        )
        ends: list[list[Draft]] = [
            [Draft(EntryKind.APPLIED, AT, "r", change.serial, {"status": 200, "attempts": 1})],
            [Draft(EntryKind.ACCEPTED, AT, "r", change.serial, {"status": 202, "attempts": 1})],
            [],
        ]
        return [intent, *self.chance.choices(ends, [20, 1, 1])[0]]

    def clock(self) -> float:
        return datetime(self.today.year, self.today.month, self.today.day, 12, tzinfo=UTC).timestamp()
