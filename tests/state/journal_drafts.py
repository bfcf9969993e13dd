"""A clock, a holder, drafts as an apply writes them, and a random but possible sequence of those."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from reconciler.change_json import divergence_to_json, field_to_json
from reconciler.model import ABSENT, Divergence, Draft, EntryKind, FieldChange, Holder, Json, Serial, Value
from reconciler.pointer import join

AP = Serial("AP-0001")
LAPTOP = Serial("ABC123456789")
AT = "2025-11-23T09:14:00.000Z"


class Clock:
    """Stands still until told."""

    def __init__(self) -> None:
        self.seconds = 1_763_889_240.0

    def __call__(self) -> float:
        return self.seconds


def holder(by: str = "alice@there", host: str = "elsewhere") -> Holder:
    return Holder(by=by, host=host, boot="another boot", pid=123, started="456")


def draft(kind: EntryKind, serial: Serial | None = AP, **data: Json) -> Draft:
    return Draft(kind, AT, "run-1", serial, data)


def intent(serial: Serial = AP, **body: Json) -> Draft:
    fields = [field_to_json(FieldChange(join(name), ABSENT, value)) for name, value in body.items()]
    return draft(EntryKind.INTENT, serial, action="update", fields=[*fields], body=body)


def applied(serial: Serial = AP) -> Draft:
    return draft(EntryKind.APPLIED, serial, status=200, attempts=1)


def divergent(serial: Serial = AP, **echoed: Value) -> Draft:
    found = [divergence_to_json(Divergence(join(name), "sent", value)) for name, value in echoed.items()]
    return draft(EntryKind.DIVERGENT, serial, status=200, attempts=1, divergence=[*found])


def accepted(serial: Serial = AP) -> Draft:
    return draft(EntryKind.ACCEPTED, serial, status=202, attempts=1)


def rejected(serial: Serial = AP) -> Draft:
    return draft(EntryKind.REJECTED, serial, status=422, attempts=1, reason="status: not a valid choice")


def unknown(serial: Serial = AP) -> Draft:
    return draft(EntryKind.UNKNOWN, serial, attempts=4, reason="no answer within 30 s")


def not_sent(serial: Serial = AP) -> Draft:
    return draft(EntryKind.NOT_SENT, serial, reason="the run was interrupted")


def unsent(serial: Serial = AP, **after: Value) -> Draft:
    fields = [field_to_json(FieldChange(join(name), "old", value)) for name, value in after.items()]
    return draft(EntryKind.APPLIED, serial, fields=[*fields])


def released(serial: Serial = AP) -> Draft:
    return draft(EntryKind.RELEASED, serial)


def forgotten(serial: Serial = AP) -> Draft:
    return draft(EntryKind.FORGOTTEN, serial, by="alice@there")


_NAMES = st.sampled_from(["name", "status", "a/b~c"])
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("aé\x1b\u202e\ud800", max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_NAMES, inner, max_size=2),
    max_leaves=4,
)
_BODIES: st.SearchStrategy[Mapping[str, Any]] = st.dictionaries(_NAMES, _VALUES, min_size=1, max_size=3)


_STEPS = ["intent"] * 4 + ["unsent", "released", "forgotten", "run"]
_OUTCOMES = [applied, accepted, divergent, rejected, not_sent, unknown]


@st.composite
def possible_drafts(choose: st.DrawFn, most: int = 25) -> list[Draft]:
    """A journal that could be: outcomes follow intents; two devices are interleaved."""
    drafts: list[Draft] = []
    pending: set[Serial] = set()
    for _ in range(choose(st.integers(0, most))):
        serial = choose(st.sampled_from([AP, LAPTOP]))
        if serial in pending and choose(st.booleans()):
            outcome = choose(st.sampled_from(_OUTCOMES))
            drafts.append(outcome(serial))
            if outcome is not unknown:
                pending.discard(serial)
            continue
        step = choose(st.sampled_from(_STEPS))
        if step == "intent":
            drafts.append(intent(serial, **choose(_BODIES)))
            pending.add(serial)
        elif step == "run":
            drafts.append(draft(EntryKind.RUN, None, by="alice@there"))
        else:
            pending.discard(serial)
            gone = {"unsent": unsent(serial, **{choose(_NAMES): ABSENT})}
            drafts.append(gone.get(step) or draft(EntryKind(step), serial))
    return drafts
