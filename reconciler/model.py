"""The words of the reconciler as values: frozen, slotted, without behaviour.

Every stage takes some of these and returns others; nothing here reads a clock, a disk or a network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
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


Manage = Literal["apply", "observe", "pause"]
"""What is done about a device: all, nothing but telling what would be done, or nothing at all."""


@dataclass(frozen=True, slots=True)
class Override:
    """A value that holds up to and including the day `until`. `path` leads into the fields, `pointer` into the file."""

    path: str
    value: Json
    until: date
    reason: str
    pointer: str


@dataclass(frozen=True, slots=True)
class Layer:
    """A file, or a part of one, that contributes values: defaults, a group, or the device itself.

    `pointer` leads from the top of `file` to the mapping that holds the values; `unset` and `lock` are pointers into
    the fields, with where they stand in the file. `plain`: it has no `$` words, and nothing is to be filled in.
    """

    name: str
    file: str
    pointer: str
    values: Mapping[str, Json]
    labels: Mapping[str, str] = field(default_factory=dict)
    unset: Mapping[str, str] = field(default_factory=dict)
    lock: Mapping[str, str] = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()
    manage: Manage | None = None
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Device:
    """One device as declared: `fields` is what the API shall hold, without the serial number itself.

    `layers` are those that reach it, lowest first; the last is the device's own. `replaces` is the device that this
    one stands in for.
    """

    serial: Serial
    fields: Mapping[str, Json]
    source: Source
    layers: tuple[Layer, ...] = ()
    manage: Manage = "apply"
    replaces: Serial | None = None


@dataclass(frozen=True, slots=True)
class DesiredState:
    """All devices after layering, by serial, as of the day `today`: overrides that ended before are gone."""

    devices: Mapping[Serial, Device]
    today: date = date.min


# --- plan ------------------------------------------------------------------------------------------------------------


class Action(StrEnum):
    """What is done about one device."""

    ADOPT = "adopt"
    """The first PUT: all declared fields."""
    REPLACE = "replace"
    """The first PUT of a device that stands in for another, which is forgotten: all declared fields."""
    UPDATE = "update"
    """Only the changed fields."""
    RESEND = "resend"
    """The outcome of an earlier PUT is unknown: its fields, at their current desired values."""
    RELEASE = "release"
    """No longer in the inventory: forgotten, nothing is sent."""
    DECOMMISSION = "decommission"
    """No longer in the inventory, where the settings say so: a last PUT of the fields that they name, then kept."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One value: `path` is a JSON Pointer into the device's fields; lists are compared and sent whole.

    `sensitive`: the schema marks it, or something in it, as a secret (`writeOnly`); no value may be shown or saved.
    `own`: known to be said for this device alone, so that no other changes because of the same line.
    """

    path: str
    before: Value
    after: Value
    source: Source | None = None
    sensitive: bool = False
    own: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one device.

    `before` and `after` are fingerprints of the device's confirmed fields, now and once the change is applied;
    `unknown` is the fingerprint of the body whose outcome was unknown when the plan was made, or None.
    """

    serial: Serial
    action: Action
    fields: Sequence[FieldChange]
    before: str
    after: str
    unknown: str | None = None
    source: Source | None = None
    replaces: Serial | None = None
    """A device that this one stands in for: it is forgotten once this change is applied, unless it is `kept`."""
    kept: bool = False
    waits_for: Serial | None = None
    """A device that must have what it should before this change is carried out."""
    forgets: str | None = None
    """The fingerprint of the confirmed fields of the device that is forgotten; None if none is."""


@dataclass(frozen=True, slots=True)
class GuardCheck:
    """What one guard found. One that did not pass is a refusal: `rule` is what `--allow` takes, `override` says so.

    `measured` and `limit` are numbers of devices, or percentages where the rule is one; None where there is no number.
    """

    rule: str
    passed: bool
    message: str
    override: str = ""
    measured: float | None = None
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """All changes, in serial order, and what they were computed from. `guards`: every rule, passed or not."""

    lineage: str
    revision: int
    changes: Sequence[Change]
    unchanged: int
    guards: tuple[GuardCheck, ...] = ()
    standing: tuple["Standing", ...] = ()
    targets: tuple[str, ...] = ()
    digest: str = ""
    nested: Nested | Mapping[str, Nested] = "replace"
    """How objects are sent; it decides what a removed key means."""
    observed: Sequence[Change] = ()
    """What would be done about the devices that are only observed."""
    paused: tuple[Serial, ...] = ()
    """Devices that are left alone."""

    @property
    def refusals(self) -> tuple[GuardCheck, ...]:
        """The guards that do not let this plan be applied."""
        return tuple(check for check in self.guards if not check.passed)


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
    """The server echoed every sent value; or there was nothing to send (`status` is None).

    `late`, here and below: an earlier request with the same body has no answer, and may still arrive.
    """

    change: Change
    status: int | None
    attempts: int
    late: bool = False


@dataclass(frozen=True, slots=True)
class Divergent:
    """The server answered 200 and holds something else."""

    change: Change
    status: int
    attempts: int
    divergence: tuple[Divergence, ...]
    late: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """The server took the change without showing its effect (202, 204)."""

    change: Change
    status: int
    attempts: int
    late: bool = False


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
    fields: Sequence[FieldChange]
    uncertain: bool = False
    run: str = ""
    given_up: str = ""


@dataclass(frozen=True, slots=True)
class Late:
    """A request that may still arrive, although a later one with the same body was answered at `given_up`."""

    body: Mapping[str, Json]
    given_up: str


@dataclass(frozen=True, slots=True)
class DeviceState:
    """What is known of one device on the server: one row of the snapshot.

    `fields` were confirmed, or accepted (their names are in `unconfirmed`), or recorded with their `divergence`.
    `unknown` is set while a PUT is in flight and stays set until a trustworthy answer clears it. `late` stays until
    another body was sent, which waits until that one cannot arrive any more.
    """

    fields: Mapping[str, Json]
    unknown: Intent | None = None
    divergence: tuple[Divergence, ...] = ()
    unconfirmed: frozenset[str] = frozenset()
    late: Late | None = None


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
    """An apply began [command, by, host, pid, url, version, commit, server, digest, allowed].

    Or a recovery, of answers that the run `recovered` got [command, by, host, pid, url, version, recovered].
    """
    INTENT = "intent"
    """A PUT is about to be sent [action, fields [{path, before?, after?}], body, replaces?]."""
    APPLIED = "applied"
    """[status, attempts, late?]; or, of fields that are only given up: nothing was sent [fields, as of an intent]."""
    DIVERGENT = "divergent"
    """[status, attempts, divergence [{path, sent?, echoed?}], late?]."""
    ACCEPTED = "accepted"
    """[status, attempts, late?]."""
    REJECTED = "rejected"
    """[status, attempts, reason]."""
    UNKNOWN = "unknown"
    """[attempts, reason]."""
    NOT_SENT = "not-sent"
    """An intent that provably never left this process [reason]."""
    REPLACED = "replaced"
    """Another device stands in for this one, which is forgotten [by]."""
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


# --- provenance ------------------------------------------------------------------------------------------------------


Verb = Literal["sets", "overrides", "overrode", "unsets", "locks"]
"""What a layer says about a value. `overrode`: an override whose last day is over."""


@dataclass(frozen=True, slots=True)
class Blame:
    """Who wrote a line last, as git tells it. `commit` is "" for a line that is not committed yet.

    `day` is the author's, YYYY-MM-DD. `request` is the pull or merge request that brought the line, as in `#42`.
    `or_earlier`: the clone is shallow, and its oldest commit stands for all before it.
    """

    commit: str = ""
    author: str = ""
    day: str = ""
    subject: str = ""
    request: str = ""
    or_earlier: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """What one layer says about a value, and where. `path` is what it speaks of: that value, or one around or in it.

    `wins`: this is where the value comes from. A list that layers add to comes from several places.
    """

    layer: str
    verb: Verb
    path: str
    source: Source
    value: Value = ABSENT
    wins: bool = False
    until: date | None = None
    reason: str = ""
    blame: Blame | None = None


@dataclass(frozen=True, slots=True)
class Carried:
    """The outcome that last settled a value, and the run that brought it about: by whom, of which commit, where."""

    kind: EntryKind
    at: str
    run: str
    by: str = ""
    commit: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Provenance:
    """The story of one value: `said` by layers, lowest first; `applied` last, by `carried`; `change` is what is next.

    `value` is ABSENT for what is not declared (any more). No value in here is a secret: those are masked already.
    `kept`: once it is no longer declared, the device keeps it.
    """

    path: str
    value: Value
    said: tuple[Said, ...] = ()
    applied: Value = ABSENT
    carried: Carried | None = None
    unknown: bool = False
    unconfirmed: bool = False
    divergence: tuple[Divergence, ...] = ()
    change: FieldChange | None = None
    sensitive: bool = False
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Named:
    """A label or a group of a device: its name, what it says, and where that stands."""

    name: str
    text: str
    source: Source


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one device is as it is: all its `values`, or those at and inside `path`. `source` is None if it has left.

    `manage` and where that is said, if it is; `layers` by name, lowest first; `standing` as in the state, or "" if it
    is not in there; `carried` is the last outcome of any of its values; `action` is the plan's, None for nothing or
    if it is left to the change of the device that it is `replaced_by`.
    """

    serial: Serial
    path: str
    source: Source | None
    values: tuple[Provenance, ...]
    layers: tuple[str, ...] = ()
    groups: tuple[Named, ...] = ()
    labels: tuple[Named, ...] = ()
    manage: Manage = "apply"
    managed_at: Source | None = None
    replaces: Serial | None = None
    replaced_by: Serial | None = None
    standing: str = ""
    carried: Carried | None = None
    action: Action | None = None
