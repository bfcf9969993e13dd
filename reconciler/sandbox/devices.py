"""The devices that the simulated server knows, in SQLite: in memory, or in a file that outlives the process."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from reconciler.model import Json, Nested
from reconciler.sandbox.rules import WRITABLE


class Devices:
    """Devices by serial number, as the API shows them.

    Survives the death of its process but not a power cut: it is a sandbox. May be used from any thread.
    """

    def __init__(self, file: Path | None = None, *, nested: Nested = "replace") -> None:
        """Opens or creates `file`; raises sqlite3.Error if it cannot be used."""
        self._nested = nested
        self._database = sqlite3.connect(file or ":memory:", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS device (id INTEGER PRIMARY KEY, serial TEXT UNIQUE, document TEXT)"
        )

    def seed(self, serials: Iterable[str]) -> None:
        """Make the serials known, as blank devices; those that are known already stay as they are."""
        now = _now()
        blank: dict[str, Json] = {
            "name": "",
            "status": "provisioning",
            **dict.fromkeys(("location", "assigned_user", "organization_unit", "device_type", "manufacturer", "model")),
            "configuration": {},
            "custom_fields": {},
            "tags": [],
            "created_at": now,
            "updated_at": now,
            "last_seen": now,
        }
        document = json.dumps(blank)
        self._database.executemany(
            "INSERT OR IGNORE INTO device (serial, document) VALUES (?, ?)", [(serial, document) for serial in serials]
        )

    def get(self, serial: str) -> dict[str, Json] | None:
        """The full device, or None if the serial is unknown."""
        row = self._database.execute("SELECT id, serial, document FROM device WHERE serial = ?", (serial,)).fetchone()
        return _device(row) if row else None

    def all(self) -> list[dict[str, Json]]:
        """Every device, in serial order."""
        rows = self._database.execute("SELECT id, serial, document FROM device ORDER BY serial")
        return [_device(row) for row in rows]

    def update(self, serial: str, patch: Mapping[str, Json]) -> dict[str, Json] | None:
        """The device after a partial update; None, with nothing changed, if the serial is unknown.

        Only WRITABLE fields are taken. What else is in the patch is ignored, as web frameworks do with read-only and
        unknown fields: the answer shows what the server holds.
        """
        device = self.get(serial)
        if device is None:
            return None
        for field in WRITABLE:
            if field in patch:
                value = patch[field]
                device[field] = _merged(device[field], value) if self._nested == "merge" else value
        device["updated_at"] = _now()
        document = json.dumps({key: value for key, value in device.items() if key not in {"id", "serial_number"}})
        self._database.execute("UPDATE device SET document = ? WHERE serial = ?", (document, serial))
        return device

    def clear(self) -> None:
        """Forget every device."""
        self._database.execute("DELETE FROM device")

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()


def _device(row: tuple[int, str, str]) -> dict[str, Json]:
    number, serial, document = row
    return {"id": number, "serial_number": serial, **json.loads(document)}


def _merged(old: Json, new: Json) -> Json:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
