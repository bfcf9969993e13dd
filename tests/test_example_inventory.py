"""The example fleet in inventory/ is what users copy from: it must be right in every respect."""

import json
import re
from pathlib import Path

import pytest
import yaml
import yamlcore
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from reconciler.config import load
from reconciler.model import DesiredState, Serial
from reconciler.reconcile import validate
from reconciler.sandbox.rules import problems

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "inventory").rglob("*.y*ml"))
REFERRED = ("device.schema.json", "defaults.schema.json")
SCHEMA_LINE = re.compile(r"# yaml-language-server: \$schema=(\S+)")


@pytest.fixture(scope="module")
def desired() -> DesiredState:
    validated = validate(load(ROOT, {}))
    assert (validated.problems, validated.warnings) == ((), ())
    assert validated.files == len([file for file in FILES if file.name[0] != "_" and file.parent.name != "_groups"])
    return validated.desired


def test_the_fleet_is_of_believable_size_and_variety(desired: DesiredState) -> None:
    kinds = {device.fields["device_type"] for device in desired.devices.values()}

    assert 25 <= len(desired.devices) <= 40
    assert kinds == {"laptop", "access-point", "cpe-gateway", "printer", "kiosk"}
    assert len({device.fields["status"] for device in desired.devices.values()}) == 6


def test_it_holds_the_api_documents_own_example(desired: DesiredState) -> None:
    assert desired.devices[Serial("ABC123456789")].fields == {
        "name": "Conference Room Laptop",
        "status": "active",
        "location": "Building A - Room 101",
        "assigned_user": "john.doe@company.com",
        "organization_unit": "IT Department",
        "device_type": "laptop",
        "manufacturer": "Dell",
        "model": "Latitude 5520",
        "configuration": {
            "auto_update": True,
            "backup_enabled": True,
            "encryption_status": "enabled",
            "compliance_profile": "corporate-standard",
        },
        "custom_fields": {"purchase_date": "2024-01-15", "warranty_expiry": "2027-01-15", "cost_center": "IT-001"},
        "tags": ["laptop", "conference-room", "windows"],
    }


def test_both_file_forms_and_a_number_in_quotes_are_shown(desired: DesiredState) -> None:
    pointers = {device.layers[-1].pointer for device in desired.devices.values()}

    assert {"", "/devices/0"} <= pointers
    assert any(serial.isdigit() for serial in desired.devices)


def test_the_server_takes_every_device(desired: DesiredState) -> None:
    refused = {serial: problems(device.fields) for serial, device in desired.devices.items()}

    assert not any(refused.values()), refused


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_the_first_line_leads_an_editor_to_the_schema_and_it_sees_no_fault(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    first = SCHEMA_LINE.fullmatch(text.splitlines()[0])
    assert first, "the first line names no schema"

    schema = (file.parent / first[1]).resolve()
    others = [(name, json.loads((schema.parent / name).read_text(encoding="utf-8"))) for name in REFERRED]
    editor = Draft202012Validator(
        json.loads(schema.read_text(encoding="utf-8")),
        registry=Registry().with_resources([(name, Resource.from_contents(text)) for name, text in others]),
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )
    document = yaml.load(text, Loader=yamlcore.CoreLoader)  # noqa: S506 - a safe loader of YAML 1.2

    assert schema.parent == ROOT / "schemas"
    assert [error.message for error in editor.iter_errors(document)] == []


def test_mail_addresses_and_host_names_belong_to_nobody() -> None:
    everything = "".join(file.read_text(encoding="utf-8").split("\n", 1)[1] for file in FILES)

    domains = set(re.findall(r"(?:@|://)([\w.-]+)", everything))

    assert {domain for domain in domains if not f".{domain}".endswith(".example.com")} == {"company.com"}
