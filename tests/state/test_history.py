from dataclasses import replace
from pathlib import Path

from journal_drafts import AP, accepted, applied, divergent, draft, holder, intent, rejected, unknown

from reconciler.change_json import field_to_json
from reconciler.model import ABSENT, Draft, Entry, EntryKind, FieldChange
from reconciler.state.history import History, began, history
from reconciler.state.sqlite import SqliteBackend


def journal(*drafts: Draft) -> list[Entry]:
    return [Entry(seq, it.kind, it.at, it.run, it.serial, it.data, "", "") for seq, it in enumerate(drafts, start=1)]


def seq(found: History, path: str) -> int | None:
    entry = found.outcome(path)
    return entry.seq if entry else None


def test_a_value_was_settled_by_the_last_outcome_that_was_about_it() -> None:
    told = history(journal(intent(a=1, b=1), applied(), intent(b=2), divergent(b=3), intent(c=1), accepted()))

    assert [seq(told, path) for path in ("/a", "/b", "/b/inside", "/c", "/d")] == [2, 4, 4, 6, None]


def test_what_was_rejected_or_never_answered_settled_nothing() -> None:
    told = history(journal(intent(a=1), applied(), intent(a=2), rejected(), intent(a=3), unknown()))

    assert seq(told, "/a") == 2


def test_an_answer_that_comes_late_settles_what_was_unknown() -> None:
    assert seq(history(journal(intent(a=1), unknown(), applied())), "/a") == 3


def test_what_was_given_up_without_a_request_is_settled_too() -> None:
    gone = draft(EntryKind.APPLIED, fields=[{"path": "/a", "before": 1}])

    assert seq(history(journal(intent(a=1), applied(), gone)), "/a") == 3


def test_a_device_that_was_released_begins_anew() -> None:
    told = history(journal(intent(a=1, b=1), applied(), draft(EntryKind.RELEASED), intent(b=1), applied()))

    assert (seq(told, "/a"), seq(told, "/b")) == (None, 5)


def test_what_was_a_secret_once_stays_one() -> None:
    secret = field_to_json(FieldChange("/a/b", 1, 2, sensitive=True))
    put = draft(EntryKind.INTENT, action="update", fields=[secret], body={"a": {"b": 2}})
    told = history(journal(put, applied(), draft(EntryKind.FORGOTTEN), intent(a=1), applied()))

    assert told.forgotten([]) == {"/a/b"}


def test_a_field_that_held_a_secret_which_is_still_known_hides_nothing_else() -> None:
    secret = field_to_json(FieldChange("/a", ABSENT, {"b": 2, "c": 3}, sensitive=True))
    told = history(journal(draft(EntryKind.INTENT, action="adopt", fields=[secret], body={"a": {}}), applied()))

    assert told.forgotten(["/a/b"]) == frozenset()
    assert told.forgotten(["/x"]) == {"/a"}


def test_the_beginning_of_a_run_is_found_however_far_back_it_is(tmp_path: Path) -> None:
    backend = SqliteBackend(tmp_path / "state.db")
    lease = backend.acquire(holder(), ttl=900)
    runs = [draft(EntryKind.RUN, None, by=by) for by in ("first", "second")]
    runs = [replace(runs[0], run="one"), replace(runs[1], run="two")]
    many = [replace(entry, run="two") for _ in range(1500) for entry in (intent(AP, a=1), applied(AP))]
    backend.append(lease, [*runs, *many])
    last = list(backend.entries())[-1]

    found = began(backend, last)

    assert last.seq > 3000
    assert found is not None
    assert found.data["by"] == "second"
    assert began(backend, replace(last, run="three")) is None
    assert began(backend, replace(last, run="")) is None
