from dataclasses import replace

import jsonschema_rs
import pytest
from journal_drafts import AP, LAPTOP, applied, intent, rejected, unknown

from reconciler.errors import StateError
from reconciler.inventory.schema import packaged_schema
from reconciler.model import Draft, EntryKind
from reconciler.state.fold import fold
from reconciler.state.recovery import awaited, from_json, to_json

LOST = [applied(AP), rejected(LAPTOP)]


def test_a_recovery_file_round_trips_and_fits_its_schema() -> None:
    document = to_json(LOST, lineage="here", run="run-1")

    jsonschema_rs.Draft202012Validator(packaged_schema("recovery"), validate_formats=True).validate(document)
    assert from_json(document, lineage="here") == tuple(LOST)


def test_a_file_of_another_state_is_refused() -> None:
    with pytest.raises(StateError, match="lineage elsewhere"):
        from_json(to_json(LOST, lineage="elsewhere", run="run-1"), lineage="here")


def test_only_what_still_waits_for_this_very_answer_is_taken() -> None:
    waiting = fold([intent(AP, vlan=2), intent(LAPTOP, vlan=2)])

    assert awaited(LOST, waiting) == tuple(LOST)
    assert awaited(LOST, fold([intent(AP, vlan=2), applied(AP)])) == ()
    assert awaited(LOST, fold([intent(AP, vlan=2), unknown(AP)])) == ()
    assert awaited(LOST, {}) == ()


def test_a_device_that_was_replaced_is_forgotten_with_the_answer_of_its_successor_and_not_without() -> None:
    lost = [applied(AP), Draft(EntryKind.REPLACED, applied(AP).at, "run-1", LAPTOP, {"by": AP})]
    state = fold([intent(AP, vlan=2), intent(LAPTOP, vlan=2), applied(LAPTOP)])

    document = to_json(lost, lineage="here", run="run-1")
    jsonschema_rs.Draft202012Validator(packaged_schema("recovery"), validate_formats=True).validate(document)
    assert awaited(lost, state) == tuple(lost)
    assert awaited(lost[1:], state) == ()
    assert awaited(lost, fold([intent(AP, vlan=2), applied(AP), intent(LAPTOP, vlan=2)])) == ()


def test_an_answer_is_not_taken_for_a_later_run() -> None:
    waiting = fold([intent(AP, vlan=2)])

    assert awaited([replace(applied(AP), run="another run")], waiting) == ()
