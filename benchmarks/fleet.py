"""A believable fleet of any size, the same for the same seed: sixteen leaf values a device, in folders by site."""

import random
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

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


def fleet(count: int, *, seed: int = 1) -> Iterator[tuple[str, str, str]]:
    """`count` devices as (site, serial number, YAML mapping)."""
    chance = random.Random(seed)
    for number in range(count):
        site = f"site-{number // DEVICES_PER_SITE:03}"
        kind = chance.choice(list(MODELS))
        maker, model = chance.choice(MODELS[kind])
        bought = chance.randrange(2019, 2026)
        month = chance.randrange(1, 13)
        serial = f"{kind[:2].upper()}{number:08}"
        flag = chance.choice(("true", "false"))
        yield (
            site,
            serial,
            f"""\
serial_number: {serial}
name: {kind.replace("-", " ").title()} {number}
status: {chance.choice(STATUSES)}
location: "{site}: Floor {chance.randrange(9)} - Room {chance.randrange(100, 600)}"
assigned_user: user{chance.randrange(count)}@example.com
organization_unit: {chance.choice(UNITS)}
device_type: {kind}
manufacturer: {maker}
model: {model}
configuration:
  auto_update: {flag}
  backup_enabled: true
  encryption_status: enabled
  compliance_profile: profile-{chance.randrange(12)}
custom_fields:
  purchase_date: "{bought}-{month:02}-15"
  warranty_expiry: "{bought + 3}-{month:02}-15"
  cost_center: CC-{chance.randrange(40):03}
tags: [{kind}, {site}, batch-{chance.randrange(100)}]
""",
        )


def write(inventory: Path, count: int, *, per_file: int = 1, seed: int = 1) -> int:
    """Write the fleet as files of `per_file` devices, in a folder per site; the number of files."""
    files = 0
    for site, devices in groupby(fleet(count, seed=seed), key=lambda device: device[0]):
        folder = inventory / site
        folder.mkdir(parents=True)
        members = list(devices)
        for start in range(0, len(members), per_file):
            chunk = members[start : start + per_file]
            file = folder / f"{chunk[0][1]}.yaml"
            file.write_text(chunk[0][2] if per_file == 1 else _listed([text for _, _, text in chunk]))
            files += 1
    return files


def _listed(devices: list[str]) -> str:
    items = ("  - " + text.rstrip().replace("\n", "\n    ") for text in devices)
    return "devices:\n" + "\n".join(items) + "\n"
