"""Why a run stopped. One device that fails is an Outcome, never one of these.

ReconcilerError (1)
├── ConfigError             a setting is unknown, mistyped or contradictory
├── InventoryError          the inventory has problems; carries all of them
├── PlanFileError           a plan file cannot be read or is not one of ours
├── StateError              the state cannot be read or written
│   ├── StateUnreachable    whoever keeps it gave no answer
│   ├── StateMissing        the configuration names a lineage, and there is no state
│   ├── StateCorrupt        damaged: a hash, a row or the file itself is wrong
│   ├── StateTooNew         written by a newer program
│   ├── StateBusy (5)       another program keeps a lock on it
│   └── LineageMismatch     of another lineage than the plan or the configuration
├── AuthenticationError (4) no token, a malformed token, or the server refused it
├── ApiError                the server cannot be spoken to: TLS, redirects, a wrong base URL
├── Locked (5)              somebody else holds the lease
├── LeaseLost (5)           our lease was taken or ran out: nothing more may be written
├── StalePlan (5)           devices moved since the plan was made
│   ├── Unreviewed          the plan does more than was reviewed
│   └── OlderCommit         the state has seen a newer inventory than this one
├── ForgeError              the forge cannot be spoken to, or does not answer what it should
│   └── ForgeDenied         our token may not do that, or there is none
├── Refused (6)             a guard says no
├── Usage (64)              the command line asks for something impossible
└── Interrupted (130)       the user stopped the run

The number is the exit code of the process, inherited downwards.
"""

import errno
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from reconciler.model import Change, GuardCheck, Lease, Problem, Serial

LIMITS = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
"""Of an OSError: the system gives no more memory, processes or open files."""


class ReconcilerError(Exception):
    """A run stopped. The message says what, where and the way out, in whole sentences or clauses."""

    exit_code: ClassVar[int] = 1


class ConfigError(ReconcilerError):
    """A setting is unknown, mistyped or contradictory."""


class InventoryError(ReconcilerError):
    """The inventory has problems."""

    def __init__(self, problems: "Sequence[Problem]") -> None:
        super().__init__(f"{len(problems)} problem{'s' if len(problems) != 1 else ''} in the inventory")
        self.problems = tuple(problems)


class PlanFileError(ReconcilerError):
    """A plan file cannot be read or is not one of ours."""


class StateError(ReconcilerError):
    """The state cannot be read or written."""


class StateUnreachable(StateError):
    """Whoever keeps the state gave no answer: what was asked of them may have been done."""


class StateMissing(StateError):
    """The configuration names a lineage, and there is no state."""


class StateCorrupt(StateError):
    """A hash, a row or the state file itself is wrong."""


class StateTooNew(StateError):
    """The state was written by a newer program."""


class StateBusy(StateError):
    """Another program keeps a lock on the file of the state: not a lease, which names its holder."""

    exit_code = 5


class LineageMismatch(StateError):
    """The state is of another lineage than the plan or the configuration."""


class AuthenticationError(ReconcilerError):
    """No token, a malformed token, or a token that the server refused. Never carries the token."""

    exit_code = 4


class ApiError(ReconcilerError):
    """The server cannot be spoken to as configured."""


class Locked(ReconcilerError):
    """Somebody else holds the lease."""

    exit_code = 5

    def __init__(self, message: str, lease: "Lease") -> None:
        super().__init__(message)
        self.lease = lease


class LeaseLost(ReconcilerError):
    """Our lease was taken over or ran out."""

    exit_code = 5


class StalePlan(ReconcilerError):
    """Devices stand neither where the plan began nor where it leads."""

    exit_code = 5

    def __init__(self, message: str, serials: "Sequence[Serial]") -> None:
        super().__init__(message)
        self.serials = tuple(serials)


class Unreviewed(StalePlan):
    """A plan does more than was reviewed: `changes` are what was not, with only those fields."""

    def __init__(self, message: str, changes: "Sequence[Change]") -> None:
        super().__init__(message, [change.serial for change in changes])
        self.changes = tuple(changes)


class OlderCommit(StalePlan):
    """The state has seen a commit that this one does not contain: to apply it would roll devices back."""


class ForgeError(ReconcilerError):
    """GitHub or GitLab cannot be spoken to, or does not answer what it should."""


class ForgeDenied(ForgeError):
    """Our token may not do that, or there is none."""


class Refused(ReconcilerError):
    """Guards do not let the plan be applied."""

    exit_code = 6

    def __init__(self, refusals: "Sequence[GuardCheck]") -> None:
        super().__init__("; ".join(refusal.message for refusal in refusals))
        self.refusals = tuple(refusals)


class Usage(ReconcilerError):
    """The command line asks for something impossible."""

    exit_code = 64


class Interrupted(ReconcilerError):
    """The user stopped the run."""

    exit_code = 130
