"""A believable fleet of any size, the same every time: sixteen values a device, four and more from layers.

Folders hold 250 files. Each has its defaults, the whole inventory has some, and a group selects the kiosks.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from reconciler.model import Json

MODELS = {
    "laptop": (("Dell", "Latitude 5520"), ("Lenovo", "ThinkPad T14"), ("HP", "EliteBook 840")),
    "access-point": (("Ubiquiti", "U6-Pro"), ("Aruba", "AP-515"), ("Cisco", "CW9162I")),
    "cpe-gateway": (("AVM", "FRITZ!Box 7590"), ("Zyxel", "VMG8825-T50"), ("Technicolor", "DGA4132")),
    "printer": (("Brother", "HL-L6400DW"), ("HP", "LaserJet M507"), ("Kyocera", "P3155dn")),
    "kiosk": (("Elo", "ESY15I1"), ("NCR", "SelfServ 90"), ("Posiflex", "HS-3514W")),
}
STATUSES = ("active", "active", "active", "active", "inactive", "maintenance", "provisioning")
UNITS = ("IT Department", "Facilities", "Field Operations", "Retail", "Engineering")
DEVICES_PER_SITE = 250
FILES_PER_FOLDER = 250

DEFAULTS = """\
configuration:
  backup_enabled: true
  encryption_status: enabled
"""
FOLDER = """\
organization_unit: {unit}
custom_fields:
  cost_center: {center}
"""
GROUP = """\
group: kiosks
select:
  device_type: kiosk
set:
  configuration:
    idle_reset_seconds: 60
"""
DEVICE = """\
serial_number: {serial}
name: {name}
status: {status}
location: "{location}"
assigned_user: {user}
device_type: {kind}
manufacturer: {maker}
model: {model}
configuration:
  auto_update: {auto_update}
  compliance_profile: {profile}
custom_fields:
  purchase_date: "{bought}"
  warranty_expiry: "{expiry}"
tags: [{tags}]
"""


@dataclass(frozen=True, slots=True)
class Member:
    """A device: its file below the inventory, the YAML mapping there, and what it holds once the layers are merged."""

    file: str
    serial: str
    text: str
    fields: dict[str, Json]


def fleet(count: int, *, per_file: int = 1) -> Iterator[Member]:
    """`count` devices, those of one file after each other."""
    chance = random.Random(1)
    file = ""
    for number in range(count):
        kind = chance.choice(list(MODELS))
        serial = f"{kind[:2].upper()}{number:08}"
        folder = number // per_file // FILES_PER_FOLDER
        if number % per_file == 0:
            file = f"area-{folder:04}/{serial}.yaml"
        site = f"site-{number // DEVICES_PER_SITE:03}"
        tags: list[Json] = [kind, site, f"batch-{chance.randrange(100)}"]
        own = _own(chance, kind, site, number, count)
        text = DEVICE.format(serial=serial, tags=", ".join(map(str, tags)), **own)
        yield Member(file, serial, text, _merged(own, tags, _shared(folder)))


def write(inventory: Path, count: int, *, per_file: int = 1) -> int:
    """Write the fleet, `per_file` devices a file, and the layers above it; the number of files that declare devices."""
    (inventory / "_groups").mkdir(parents=True)
    (inventory / "_defaults.yaml").write_text(DEFAULTS)
    (inventory / "_groups" / "kiosks.yaml").write_text(GROUP)
    files = 0
    for name, members in groupby(fleet(count, per_file=per_file), key=lambda member: member.file):
        file = inventory / name
        if files % FILES_PER_FOLDER == 0:
            file.parent.mkdir()
            (file.parent / "_defaults.yaml").write_text(FOLDER.format(**_shared(files // FILES_PER_FOLDER)))
        texts = [member.text for member in members]
        file.write_text(texts[0] if per_file == 1 else _listed(texts))
        files += 1
    return files


def _own(chance: random.Random, kind: str, site: str, number: int, count: int) -> dict[str, str]:
    """What the device's own file says."""
    maker, model = chance.choice(MODELS[kind])
    bought, month = chance.randrange(2019, 2026), chance.randrange(1, 13)
    return {
        "name": f"{kind.replace('-', ' ').title()} {number}",
        "status": chance.choice(STATUSES),
        "location": f"{site}: Floor {chance.randrange(9)} - Room {chance.randrange(100, 600)}",
        "user": f"user{chance.randrange(count)}@example.com",
        "kind": kind,
        "maker": maker,
        "model": model,
        "auto_update": chance.choice(("true", "false")),
        "profile": f"profile-{chance.randrange(12)}",
        "bought": f"{bought}-{month:02}-15",
        "expiry": f"{bought + 3}-{month:02}-15",
    }


def _merged(own: dict[str, str], tags: list[Json], shared: dict[str, str]) -> dict[str, Json]:
    configuration: dict[str, Json] = {
        "backup_enabled": True,
        "encryption_status": "enabled",
        "auto_update": own["auto_update"] == "true",
        "compliance_profile": own["profile"],
    }
    if own["kind"] == "kiosk":
        configuration["idle_reset_seconds"] = 60
    return {
        "organization_unit": shared["unit"],
        "name": own["name"],
        "status": own["status"],
        "location": own["location"],
        "assigned_user": own["user"],
        "device_type": own["kind"],
        "manufacturer": own["maker"],
        "model": own["model"],
        "configuration": configuration,
        "custom_fields": {
            "cost_center": shared["center"],
            "purchase_date": own["bought"],
            "warranty_expiry": own["expiry"],
        },
        "tags": tags,
    }


def _shared(folder: int) -> dict[str, str]:
    """What the defaults of the folder of this number say for all of its devices."""
    return {"unit": UNITS[folder % len(UNITS)], "center": f"CC-{folder % 40:03}"}


def _listed(devices: list[str]) -> str:
    items = ("  - " + text.rstrip().replace("\n", "\n    ") for text in devices)
    return "devices:\n" + "\n".join(items) + "\n"
