"""Devices that are looked up in a copy of the state, page by page."""

from pathlib import Path

import pytest

from reconciler.fleet import held
from reconciler.fleet.held import Lookup, copied
from reconciler.model import DeviceState, Draft, EntryKind, Json, Serial
from reconciler.state.holder import this_process
from reconciler.state.sqlite import SqliteBackend

AT = "2026-01-01T00:00:00.000Z"


def test_a_copy_is_a_mapping_of_those_who_were_asked_for_whatever_the_order_and_though_it_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "_AT_ONCE", 3)
    backend = SqliteBackend(tmp_path / "state.db")
    serials = [Serial(f"AP-{number}") for number in range(10)]
    lease = backend.acquire(this_process({}), ttl=60)
    for serial in serials:
        data: dict[str, Json] = {
            "action": "adopt",
            "fields": [{"path": "/name", "after": serial}],
            "body": {"name": serial},
        }
        intent = Draft(EntryKind.INTENT, AT, "r", serial, data)
        backend.append(lease, [intent, Draft(EntryKind.APPLIED, AT, "r", serial, {"status": 200, "attempts": 1})])
    gone = {Serial("AP-9"): DeviceState({"name": "gone"})}

    with copied(backend) as (copy, _):
        found = Lookup(copy, serials[1:], gone)

    assert not copy.exists()
    assert sorted(found) == serials[1:]
    assert len(found) == 9
    whole = {serial: backend.read().devices[serial] for serial in serials[1:9]} | gone
    for order in (serials[1:], serials[:0:-1], [*serials[2::3], *serials[1::3]]):
        assert {serial: found[serial] for serial in order if serial in found} == {
            serial: whole[serial] for serial in order
        }
    for stranger in ("AP-0", "AP-", "AP-99", "B"):
        assert found.get(Serial(stranger)) is None
