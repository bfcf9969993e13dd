"""What the simulated server takes, and what it then holds."""

import httpx
import pytest
from conftest import Caller

from reconciler.model import Json
from reconciler.sandbox.server import Sandbox, running


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("status", "quarantined", '"quarantined" is not a valid choice; expected one of active, '),
        ("status", None, "not a valid choice"),
        ("status", True, "not a valid choice"),
        ("name", "", "may not be blank"),
        ("name", None, "Not a valid string"),
        ("name", 7, "Not a valid string"),
        ("location", "x" * 256, "no more than 255 characters"),
        ("model", 5520, "Not a valid string"),
        ("assigned_user", "john.doe", "valid email"),
        ("assigned_user", "john@doe", "valid email"),
        ("assigned_user", "a b@example.com", "valid email"),
        ("assigned_user", 7, "valid email"),
        ("configuration", None, "Expected an object"),
        ("configuration", [], "Expected an object"),
        ("custom_fields", "x", "Expected an object"),
        ("custom_fields", {"purchase_date": "15.01.2024"}, "purchase_date: Date has wrong format"),
        ("custom_fields", {"warranty_expiry": "2023-02-29"}, "warranty_expiry: Date has wrong format"),
        ("custom_fields", {"warranty_expiry": 2023}, "warranty_expiry: Date has wrong format"),
        ("tags", "laptop", "Expected a list"),
        ("tags", ["a", 1], "must be a string"),
        ("tags", ["a", ""], "must be a string"),
        ("tags", ["a", "a"], "must be unique"),
    ],
)
def test_an_invalid_value_is_422_under_its_field_and_nothing_is_changed(
    caller: Caller,
    sandbox: Sandbox,
    field: str,
    value: Json,
    words: str,
) -> None:
    before = sandbox.device("AP-1")

    answer = caller.put("AP-1", organization_unit="IT", **{field: value})

    assert answer.status_code == 422
    [(named, [message])] = answer.json().items()
    assert named == field
    assert words in message
    assert sandbox.device("AP-1") == before


def test_every_invalid_field_is_named(caller: Caller) -> None:
    answer = caller.put("AP-1", status="x", tags=7, name="fine")

    assert answer.json().keys() == {"status", "tags"}


@pytest.mark.parametrize(
    "valid",
    [
        {"assigned_user": None},
        {"location": None},
        {"location": ""},
        {"custom_fields": {"purchase_date": None, "warranty_expiry": "2024-02-29", "other": [1, {"a": None}]}},
        {"tags": []},
        *({"status": status} for status in ("inactive", "maintenance", "provisioning", "decommissioned", "retired")),
    ],
)
def test_a_valid_value_is_stored_as_sent(caller: Caller, sandbox: Sandbox, valid: dict[str, Json]) -> None:
    answer = caller.put("AP-1", **valid)

    assert answer.status_code == 200
    assert valid.items() <= sandbox.device("AP-1").items()


def test_what_is_the_servers_own_and_what_it_does_not_know_is_ignored(caller: Caller, sandbox: Sandbox) -> None:
    before = sandbox.device("AP-1")

    answer = caller.put(
        "AP-1", id=7, serial_number="X", created_at="x", updated_at="x", last_seen="x", operation="reboot", name="new"
    )

    assert answer.status_code == 200
    assert sandbox.device("AP-1") == {**before, "name": "new", "updated_at": answer.json()["updated_at"]}
    assert answer.json()["updated_at"] != "x"


def test_nested_objects_are_replaced_by_default(caller: Caller) -> None:
    caller.put("AP-1", configuration={"radio": {"channel": 1, "width": 20}, "vlan": 10})

    answer = caller.put("AP-1", configuration={"radio": {"channel": 6}})

    assert answer.json()["configuration"] == {"radio": {"channel": 6}}


def test_nested_objects_are_merged_on_request_and_lists_and_nulls_are_not(client: httpx.Client) -> None:
    with running(seed=["AP-1"], nested="merge") as sandbox:
        caller = Caller(client, sandbox)
        caller.put("AP-1", configuration={"radio": {"channel": 1, "width": 20}, "vlan": 10, "dns": [1, 2]})

        answer = caller.put("AP-1", configuration={"radio": {"channel": 6}, "vlan": None, "dns": [3]})

    assert answer.json()["configuration"] == {"radio": {"channel": 6, "width": 20}, "vlan": None, "dns": [3]}
