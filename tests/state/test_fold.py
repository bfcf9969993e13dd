from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_drafts import (
    AP,
    AT,
    LAPTOP,
    accepted,
    applied,
    divergent,
    draft,
    forgotten,
    intent,
    not_sent,
    possible_drafts,
    rejected,
    released,
    unknown,
    unsent,
)

from reconciler.change_json import device_from_json, device_to_json
from reconciler.model import ABSENT, DeviceState, Divergence, Draft, EntryKind, FieldChange, Intent, Json, Late, Serial
from reconciler.state.fold import fold, step

ADOPTED = [intent(name="Lobby", status="active"), applied()]
LOBBY = DeviceState({"name": "Lobby", "status": "active"})
RETIRED = Intent({"status": "retired"}, (FieldChange("/status", ABSENT, "retired"),), run="run-1")
GIVEN_UP = replace(RETIRED, given_up=AT)


def state_after(*drafts: Draft) -> DeviceState | None:
    return fold(drafts).get(AP)


def test_an_applied_intent_is_what_the_device_holds() -> None:
    assert state_after(*ADOPTED) == LOBBY


def test_an_intent_alone_is_unknown_and_changes_no_field() -> None:
    assert state_after(*ADOPTED, intent(status="retired")) == DeviceState(LOBBY.fields, unknown=RETIRED)


def test_an_unknown_outcome_stays_unknown_until_an_answer_comes() -> None:
    assert state_after(*ADOPTED, intent(status="retired"), unknown()) == DeviceState(LOBBY.fields, unknown=GIVEN_UP)
    assert state_after(
        *ADOPTED, intent(status="retired"), unknown(), intent(status="retired"), applied()
    ) == DeviceState({"name": "Lobby", "status": "retired"})


def test_a_request_that_was_answered_late_may_still_arrive_until_another_body_is_sent() -> None:
    late = replace(applied(), data={**applied().data, "late": True})
    still = replace(LOBBY, fields={"name": "Lobby", "status": "retired"}, late=Late({"status": "retired"}, AT))
    drafts = [*ADOPTED, intent(status="retired"), late]

    assert state_after(*drafts) == still
    assert state_after(*drafts, intent(status="retired"), applied()) == still
    assert state_after(*drafts, intent(name="Hall"), rejected()) == still
    assert state_after(*drafts, intent(name="Hall")) == replace(
        still, unknown=Intent({"name": "Hall"}, (FieldChange("/name", ABSENT, "Hall"),), run="run-1")
    )
    assert state_after(*drafts, intent(name="Hall"), applied()) == DeviceState({"name": "Hall", "status": "retired"})


@pytest.mark.parametrize("refusal", [rejected(), not_sent()], ids=lambda draft: draft.kind)
def test_a_refused_update_leaves_the_device_as_it_was(refusal: Draft) -> None:
    assert state_after(*ADOPTED, intent(status="retired"), refusal) == LOBBY


@pytest.mark.parametrize("refusal", [rejected(), not_sent()], ids=lambda draft: draft.kind)
def test_a_refused_first_put_leaves_no_device(refusal: Draft) -> None:
    assert state_after(intent(status="retired"), refusal) is None


@pytest.mark.parametrize("refusal", [rejected(), not_sent()], ids=lambda draft: draft.kind)
def test_a_refusal_says_nothing_about_an_earlier_put_that_was_never_answered(refusal: Draft) -> None:
    left = state_after(*ADOPTED, intent(status="retired"), unknown(), intent(status="retired"), refusal)

    assert left == DeviceState(LOBBY.fields, unknown=replace(GIVEN_UP, uncertain=True))


def test_an_answer_about_one_field_says_nothing_of_another() -> None:
    divergent_name = [*ADOPTED, intent(name="Hall"), divergent(name="HALL")]
    unconfirmed_name = [*ADOPTED, intent(name="Hall"), accepted()]

    assert state_after(*divergent_name, intent(status="retired"), applied()) == DeviceState(
        {"name": "Hall", "status": "retired"}, divergence=(Divergence("/name", "sent", "HALL"),)
    )
    assert state_after(*unconfirmed_name, intent(status="retired"), applied()) == DeviceState(
        {"name": "Hall", "status": "retired"}, unconfirmed=frozenset({"name"})
    )


def test_a_divergent_outcome_is_recorded_as_sent_with_what_the_server_shows() -> None:
    left = state_after(*ADOPTED, intent(status="retired"), divergent(status="active", name=ABSENT))

    found = (Divergence("/status", "sent", "active"), Divergence("/name", "sent", ABSENT))
    assert left == DeviceState({"name": "Lobby", "status": "retired"}, divergence=found)


def test_an_accepted_outcome_is_recorded_and_unconfirmed() -> None:
    left = state_after(*ADOPTED, intent(status="retired"), accepted())

    assert left == DeviceState({"name": "Lobby", "status": "retired"}, unconfirmed=frozenset({"status"}))


@pytest.mark.parametrize("blot", [divergent(status="active"), accepted()], ids=lambda draft: draft.kind)
def test_an_applied_outcome_ends_divergence_and_doubt(blot: Draft) -> None:
    again = [intent(status="active"), applied()]

    assert state_after(*ADOPTED, intent(status="retired"), blot, *again) == LOBBY


def test_a_field_given_up_leaves_without_anything_being_sent() -> None:
    assert state_after(*ADOPTED, unsent(status=ABSENT)) == DeviceState({"name": "Lobby"})


def test_giving_up_one_field_confirms_nothing_about_the_others() -> None:
    doubtful = [*ADOPTED, intent(status="retired"), accepted()]

    assert state_after(*doubtful, unsent(name=ABSENT)) == DeviceState(
        {"status": "retired"}, unconfirmed=frozenset({"status"})
    )
    assert state_after(*doubtful, unsent(name=ABSENT, status=ABSENT)) == DeviceState({})


def test_a_divergence_ends_when_its_field_is_given_up_and_not_before() -> None:
    blotted = [*ADOPTED, intent(status="retired"), divergent(status="active")]

    assert state_after(*blotted, unsent(name=ABSENT)) == DeviceState(
        {"status": "retired"}, divergence=(Divergence("/status", "sent", "active"),)
    )
    assert state_after(*blotted, unsent(status=ABSENT)) == DeviceState({"name": "Lobby"})


def test_what_is_unknown_ends_when_all_its_fields_are_given_up_and_not_before() -> None:
    waiting = [*ADOPTED, intent(status="retired"), unknown()]

    assert state_after(*waiting, unsent(name=ABSENT)) == DeviceState({"status": "active"}, unknown=GIVEN_UP)
    assert state_after(*waiting, unsent(status=ABSENT)) == DeviceState({"name": "Lobby"})

    both = [*ADOPTED, intent(name="Hall", status="retired"), unknown()]
    half = state_after(*both, unsent(status=ABSENT))
    assert half is not None
    assert half.unknown is not None
    assert half.unknown.body == {"name": "Hall", "status": "retired"}
    assert state_after(*both, unsent(name=ABSENT, status=ABSENT)) == DeviceState({})


@pytest.mark.parametrize("end", [released(), forgotten()], ids=lambda draft: draft.kind)
def test_a_released_or_forgotten_device_is_gone_with_all_that_was_open(end: Draft) -> None:
    assert state_after(*ADOPTED, intent(status="retired"), unknown(), end) is None


def test_an_explicit_null_is_kept_and_an_absent_value_is_not() -> None:
    assert state_after(intent(name=None), applied()) == DeviceState({"name": None})


@pytest.mark.parametrize(
    "stray",
    [applied(), divergent(), accepted(), rejected(), unknown(), not_sent()],
    ids=lambda draft: draft.kind,
)
def test_an_outcome_without_an_intent_cannot_be(stray: Draft) -> None:
    with pytest.raises(ValueError, match=rf'"{stray.kind}" of AP-0001 at 2025-.* has no intent before it'):
        fold([stray])
    with pytest.raises(ValueError, match="has no intent before it"):
        fold([*ADOPTED, stray])


@pytest.mark.parametrize(
    "malformed",
    [
        draft(EntryKind.INTENT, body={}),
        draft(EntryKind.INTENT, body={}, fields=[{"before": 1}]),
        draft(EntryKind.INTENT, body={}, fields=7),
        draft(EntryKind.APPLIED, fields="all"),
        draft(EntryKind.RUN),
    ],
)
def test_data_that_does_not_fit_its_kind_is_refused(malformed: Draft) -> None:
    with pytest.raises(ValueError, match="AP-0001 at 2025"):
        fold([malformed])


@given(possible_drafts())
def test_folding_is_stepping_through_each_device_on_its_own(drafts: list[Draft]) -> None:
    for serial in (AP, LAPTOP):
        state: DeviceState | None = None
        for entry in drafts:
            if entry.serial == serial:
                state = step(state, entry)
        assert fold(drafts).get(serial) == state


@given(possible_drafts(), st.sampled_from([AP, LAPTOP]))
def test_after_any_history_a_matching_answer_to_everything_desired_settles_a_device(
    drafts: list[Draft], serial: Serial
) -> None:
    """The law of convergence, as far as the fold goes: nothing of the past survives a full, confirmed PUT."""
    body: dict[str, Json] = {"name": "a", "status": "b", "a/b~c": 1}

    assert fold([*drafts, intent(serial, **body), applied(serial)])[serial] == DeviceState(body)


@given(possible_drafts())
def test_a_device_state_survives_being_stored(drafts: list[Draft]) -> None:
    for state in fold(drafts).values():
        assert device_from_json(device_to_json(state)) == state
