"""The simulated server, over a real socket, against the API document."""

import json

import pytest
from conftest import Caller

from reconciler.model import Json
from reconciler.sandbox.server import Sandbox

DOCUMENT_EXAMPLE: dict[str, Json] = {
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


def test_the_documents_example_is_answered_with_the_full_device(caller: Caller, sandbox: Sandbox) -> None:
    sandbox.seed("ABC123456789")

    answer = caller.put("ABC123456789", **DOCUMENT_EXAMPLE)

    assert answer.status_code == 200
    device = answer.json()
    assert DOCUMENT_EXAMPLE.items() <= device.items()
    assert device.keys() - DOCUMENT_EXAMPLE.keys() == {"id", "serial_number", "created_at", "updated_at", "last_seen"}
    assert device["serial_number"] == "ABC123456789"
    assert device["created_at"].endswith("Z")
    assert sandbox.device("ABC123456789") == device


def test_a_put_changes_only_the_fields_it_carries(caller: Caller, sandbox: Sandbox) -> None:
    caller.put("AP-1", name="lobby", location="Lobby", tags=["a"])

    answer = caller.put("AP-1", location="Roof")

    assert (answer.json()["name"], answer.json()["location"], answer.json()["tags"]) == ("lobby", "Roof", ["a"])
    assert sandbox.device("AP-1") == answer.json()


def test_a_device_and_the_list_can_be_read(caller: Caller, sandbox: Sandbox) -> None:
    sandbox.seed("AP-2", "AP-0")

    one = caller.ask("GET", "/api/v1/inventory_device_serial_operation/AP-2/")
    every = caller.ask("GET", "/api/v1/inventory_device_serial_operation/")

    assert one.json() == sandbox.device("AP-2")
    assert every.json() == {"count": 3, "results": sandbox.devices()}
    assert [device["serial_number"] for device in sandbox.devices()] == ["AP-0", "AP-1", "AP-2"]


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer wrong", "bearer sandbox-token", "Basic sandbox-token", "Bearer é"]
)
def test_without_the_right_bearer_token_nothing_is_answered_or_changed(
    caller: Caller, sandbox: Sandbox, authorization: str | None
) -> None:
    before = sandbox.device("AP-1")
    caller.headers = {} if authorization is None else {"Authorization": authorization.encode()}  # type: ignore[dict-item] # httpx takes bytes

    answers = [
        caller.put("AP-1", status="retired"),
        caller.put("AP-9", status="retired"),
        caller.ask("GET", "/api/v1/inventory_device_serial_operation/"),
        caller.ask("GET", "/_sandbox/requests"),
        caller.ask("DELETE", "/_sandbox/requests"),
    ]

    assert [answer.status_code for answer in answers] == [401] * 5
    assert all(answer.json()["detail"] and answer.headers["www-authenticate"] == "Bearer" for answer in answers)
    assert sandbox.device("AP-1") == before


def test_an_unknown_serial_is_404_with_a_detail(caller: Caller) -> None:
    answer = caller.put("AP-9", status="active")

    assert (answer.status_code, answer.json()) == (404, {"detail": "Not found."})


@pytest.mark.parametrize("path", ["/AP-1", "/AP-1//", "/a/AP-1/", "//"])
def test_only_the_documented_path_with_its_slash_exists_and_nothing_redirects(caller: Caller, path: str) -> None:
    answer = caller.ask("PUT", "/api/v1/inventory_device_serial_operation" + path, json={"name": "x"})

    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


def test_other_methods_are_405(caller: Caller) -> None:
    answer = caller.ask("PATCH", "/api/v1/inventory_device_serial_operation/AP-1/", json={"name": "x"})

    assert answer.status_code == 405


@pytest.mark.parametrize("serial", ["a b", "100%", "A%2DB", "Zürich", "q?x#y", "..."])
def test_serials_are_percent_decoded_exactly_once(caller: Caller, sandbox: Sandbox, serial: str) -> None:
    sandbox.seed(serial, "A-B")
    encoded = "".join(f"%{byte:02X}" for byte in serial.encode())

    answer = caller.put(encoded, name="found")

    assert answer.json()["serial_number"] == serial
    assert sandbox.device(serial)["name"] == "found"
    assert sandbox.device("A-B")["name"] == ""
    assert sandbox.requests("PUT")[-1].serial == serial


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'"status"',
        b"null",
        b'{"name": NaN}',
        b'{"name": "\xff"}',
        b'{"name": "\\ud800"}',
        b"[" * 100_000,
        b'{"data": "{"}',
        b'{"data": "[1]"}',
    ],
)
def test_a_body_that_is_no_json_object_is_400_and_changes_nothing(
    caller: Caller, sandbox: Sandbox, body: bytes
) -> None:
    before = sandbox.device("AP-1")

    answer = caller.put_raw("AP-1", body)

    assert answer.status_code == 400
    assert answer.json().keys() == {"detail"}
    assert sandbox.device("AP-1") == before


@pytest.mark.parametrize("body", [b"", b" \n", b'{"data": ""}'])
def test_a_missing_body_is_400_and_says_so(caller: Caller, body: bytes) -> None:
    answer = caller.put_raw("AP-1", body)

    assert (answer.status_code, answer.json()) == (400, {"detail": "The request body is missing."})


def test_a_data_string_body_is_taken_too(caller: Caller, sandbox: Sandbox) -> None:
    answer = caller.put("AP-1", data=json.dumps({"location": "Roof"}))

    assert answer.json()["location"] == "Roof"
    assert sandbox.requests("PUT")[-1].body == {"data": '{"location": "Roof"}'}


def test_an_empty_object_changes_no_value(caller: Caller, sandbox: Sandbox) -> None:
    before = sandbox.device("AP-1")

    answer = caller.put("AP-1")

    assert answer.status_code == 200
    assert answer.json()["updated_at"] > before["updated_at"]
    assert {**answer.json(), "updated_at": ""} == {**before, "updated_at": ""}
