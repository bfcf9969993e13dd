"""Who may write a state: the rules of the lease, the same for every backend, which asks inside its transaction."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.errors import LeaseLost, StateError
from reconciler.model import Draft, EntryKind, Holder, Json, Lease
from reconciler.state.lease import is_live, lease_from_json, lease_to_json, locked


@dataclass(frozen=True, slots=True)
class Right:
    """The last epoch given out, and to whom, if they still have it."""

    epoch: int = 0
    lease: Lease | None = None


def granted(right: Right, holder: Holder, *, ttl: float, now: float) -> Lease:
    """A lease for `holder`, at the next epoch. Raises Locked while a live lease binds."""
    if right.lease and is_live(right.lease, now):
        raise locked(right.lease, now)
    return Lease(secrets.token_hex(2), holder, right.epoch + 1, since=now, expires=now + ttl)


def fenced(right: Right, lease: Lease, now: float) -> Lease:
    """The present lease, if it is `lease` and has not run out. Raises LeaseLost."""
    present = right.lease
    if present is None or not same(present, lease):
        now_held = f"; {present.holder.by} holds the state now" if present else ""
        raise LeaseLost(f"lease {lease.id} was taken away{now_held}: nothing more was written; run again")
    if present.expires <= now:
        raise LeaseLost(f"lease {lease.id} ran out before it was renewed: nothing more was written; run again")
    return present


def revoked(right: Right, lease_id: str, *, by: str, at: str, now: float, force: bool) -> tuple[Lease, Draft]:
    """The lease that is to be taken away, and what the journal says of it. Raises StateError and Locked."""
    lease = right.lease
    if lease is None or lease.id != lease_id:
        present = f"the present one is {lease.id}" if lease else "the state is not locked any more"
        raise StateError(f"there is no lease {lease_id}; {present}")
    if is_live(lease, now) and not force:
        raise locked(lease, now, unlocking=True)
    data: dict[str, Json] = {"lease": lease.id, "holder": lease_to_json(lease)["holder"], "by": by}
    return lease, Draft(EntryKind.UNLOCKED, at, run="", data=data)


def not_locked() -> StateError:
    """The error for unlocking what nobody holds."""
    return StateError("the state is not locked; there is nothing to unlock")


def same(one: Lease, other: Lease) -> bool:
    """Whether they are one lease at two moments."""
    return (one.id, one.epoch) == (other.id, other.epoch)


def right_to_json(right: Right) -> dict[str, Json]:
    """`{epoch, lease}`."""
    return {"epoch": right.epoch, "lease": lease_to_json(right.lease) if right.lease else None}


def right_from_json(item: Mapping[str, Any]) -> Right:
    """The inverse of `right_to_json`. Raises KeyError or TypeError for anything else."""
    return Right(item["epoch"], lease_from_json(item["lease"]) if item["lease"] else None)
