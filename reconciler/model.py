"""The words of the reconciler as values: frozen, slotted, without behaviour.

Every stage takes some of these and returns others; nothing here reads a clock, a disk or a network.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Literal, NewType, TypeAlias

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None

Serial = NewType("Serial", str)
"""The identifier of one device (`serial_number`); never a state version."""


class _Missing(Enum):
    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Missing.ABSENT
"""No value at all: not the same as an explicit null."""

Value: TypeAlias = Json | Literal[_Missing.ABSENT]


Nested = Literal["replace", "merge"]
"""What a server does with an object in a PUT: hold exactly it, or change its keys and keep the others."""

READ_ONLY = frozenset({"id", "created_at", "updated_at", "last_seen"})
"""Fields that the server sets by itself."""

EXECUTED = frozenset({"operation", "operation_type"})
"""Fields that newer servers execute on receipt (reboot, factory reset)."""

NEVER_SENT = READ_ONLY | EXECUTED
"""Top-level fields that no request may carry, whatever a schema or a plan file says."""


# --- inventory -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Source:
    """A place in an inventory file. Lines and columns count from 1; columns count characters."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why the inventory cannot be used, and the way out.

    `code` is stable (RC###, listed in docs/errors.md). `excerpt` is the source line, for the caret.
    """

    code: str
    message: str
    fix: str
    source: Source
    excerpt: str = ""


@dataclass(frozen=True, slots=True)
class Device:
    """One device as declared: `fields` is what the API shall hold, without the serial number itself.

    `pointer` is the JSON Pointer of the device inside its file ("" for a file that is one device).
    """

    serial: Serial
    fields: Mapping[str, Json]
    source: Source
    pointer: str = ""


@dataclass(frozen=True, slots=True)
class DesiredState:
    """All devices after layering, by serial."""

    devices: Mapping[Serial, Device]


# --- plan ------------------------------------------------------------------------------------------------------------


class Action(StrEnum):
    """What is done about one device."""

    ADOPT = "adopt"
    """The first PUT: all declared fields."""
    UPDATE = "update"
    """Only the changed fields."""
    RESEND = "resend"
    """The outcome of an earlier PUT is unknown: its fields, at their current desired values."""
    RELEASE = "release"
    """No longer in the inventory: forgotten, nothing is sent."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One value: `path` is a JSON Pointer into the device's fields; lists are compared and sent whole.

    `sensitive`: the schema marks it, or something in it, as a secret (`writeOnly`); no value may be shown or saved.
    """

    path: str
    before: Value
    after: Value
    source: Source | None = None
    sensitive: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one device.

    `before` and `after` are fingerprints of the device's confirmed fields, now and once the change is applied;
    `unknown` is the fingerprint of the body whose outcome was unknown when the plan was made, or None.
    """

    serial: Serial
    action: Action
    fields: tuple[FieldChange, ...]
    before: str
    after: str
    unknown: str | None = None
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A guard that does not let a plan be applied. `rule` is what `--allow` takes."""

    rule: str
    message: str
    override: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All changes, in serial order, and what they were computed from."""

    lineage: str
    revision: int
    changes: tuple[Change, ...]
    unchanged: int
    refusals: tuple[Refusal, ...] = ()
    standing: tuple["Standing", ...] = ()
    targets: tuple[str, ...] = ()
    digest: str = ""
    nested: Nested | Mapping[str, Nested] = "replace"
    """How objects are sent; it decides what a removed key means."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A device that is applied but not as it should be: shown under every plan until it is resolved."""

    serial: Serial
    divergence: tuple["Divergence", ...]
    unconfirmed: tuple[str, ...] = ()
    """Top-level fields that the server accepted (202, 204) without showing them."""


# --- apply -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Divergence:
    """One value that the server echoed differently from what was sent."""

    path: str
    sent: Value
    echoed: Value


@dataclass(frozen=True, slots=True)
class Applied:
    """The server echoed every sent value; or there was nothing to send (`status` is None)."""

    change: Change
    status: int | None
    attempts: int


@dataclass(frozen=True, slots=True)
class Divergent:
    """The server answered 200 and holds something else."""

    change: Change
    status: int
    attempts: int
    divergence: tuple[Divergence, ...]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The server took the change without showing its effect (202, 204)."""

    change: Change
    status: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """The server understood and refused (400, 404, 422, …): nothing changed. `reasons` are (path or "", message)."""

    change: Change
    status: int
    attempts: int
    reasons: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """Sent, and no trustworthy answer came: the next run sends it again."""

    change: Change
    attempts: int
    reason: str


@dataclass(frozen=True, slots=True)
class NotAttempted:
    """Nothing left this process for this device."""

    change: Change
    reason: str


Outcome: TypeAlias = Applied | Divergent | Accepted | Rejected | Unknown | NotAttempted


# --- state -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Intent:
    """A PUT that was about to be sent, by which run. `uncertain`: the fate of an even earlier one was unknown then.

    `given_up`: when that run stopped waiting for an answer; "" while it may still be at it.
    """

    body: Mapping[str, Json]
    fields: tuple[FieldChange, ...]
    uncertain: bool = False
    run: str = ""
    given_up: str = ""


@dataclass(frozen=True, slots=True)
class DeviceState:
    """What is known of one device on the server: one row of the snapshot.

    `fields` were confirmed, or accepted (their names are in `unconfirmed`), or recorded with their `divergence`.
    `unknown` is set while a PUT is in flight and stays set until a trustworthy answer clears it.
    """

    fields: Mapping[str, Json]
    unknown: Intent | None = None
    divergence: tuple[Divergence, ...] = ()
    unconfirmed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was last applied, per serial: the fold over the journal. `lineage` is "" while no state exists yet."""

    lineage: str = ""
    revision: int = 0
    devices: Mapping[Serial, DeviceState] = field(default_factory=dict)
    server: str = ""
    """The base URL that the last run sent to; "" if none did."""


class EntryKind(StrEnum):
    """What a journal entry says; in brackets the keys of its `data`."""

    RUN = "run"
    """An apply began [command, by, host, pid, commit, url, server, version, digest, allowed]."""
    INTENT = "intent"
    """A PUT is about to be sent [action, fields [{path, before?, after?}], body]."""
    APPLIED = "applied"
    """[status, attempts]."""
    DIVERGENT = "divergent"
    """[status, attempts, divergence [{path, sent?, echoed?}]]."""
    ACCEPTED = "accepted"
    """[status, attempts]."""
    REJECTED = "rejected"
    """[status, attempts, reason]."""
    UNKNOWN = "unknown"
    """[attempts, reason]."""
    NOT_SENT = "not-sent"
    """An intent that provably never left this process [reason]."""
    RELEASED = "released"
    """No longer in the inventory; nothing was sent []."""
    FORGOTTEN = "forgotten"
    """Removed from the state by hand [by]."""
    UNLOCKED = "unlocked"
    """A lease was taken away by hand [lease, holder, by]."""
    ENDED = "ended"
    """The run is over [exit_code, counts]."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry before it has a place in the journal. `at` is UTC, RFC 3339, to the millisecond, with a Z."""

    kind: EntryKind
    at: str
    run: str
    serial: Serial | None = None
    data: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal. `hash` = sha256 over canonical JSON of everything else here, `previous` included."""

    seq: int
    kind: EntryKind
    at: str
    run: str
    serial: Serial | None
    data: Mapping[str, Json]
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease: enough to recognise them, and to know on the same host that they are dead."""

    by: str
    host: str
    boot: str
    pid: int
    started: str
    """Start time of the process as the kernel counts it, so that a reused pid is not taken for the holder."""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write a state until `expires` (UNIX seconds). `epoch` fences: each new lease has a higher one."""

    id: str
    holder: Holder
    epoch: int
    since: float
    expires: float


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How a state wants to be written. The defaults are those of one that is written in no time.

    `seconds` is what an append takes, by the latest; an append is worth `gather` seconds of waiting for more entries,
    unless there are `enough`.
    """

    seconds: float = 0.0
    gather: float = 0.0
    enough: int = 1


IMMEDIATE = Rhythm()
