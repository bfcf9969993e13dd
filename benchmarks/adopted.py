"""A state that holds a fleet as applied: the journal that an apply would have written, without its requests.

`python benchmarks/adopted.py FOLDER DEVICES PER_FILE` writes FOLDER's default state: in a process of its own, so that
the harness stays small.
"""

import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import closing
from itertools import islice
from pathlib import Path

from fleet import Member, fleet

from reconciler.change_json import field_to_json
from reconciler.model import ABSENT, Draft, EntryKind, FieldChange, Json, Serial
from reconciler.state.backend import Backend
from reconciler.state.holder import this_process
from reconciler.state.open import open_state

AT_ONCE = 1000
AT = "2026-01-01T00:00:00Z"


def main() -> None:
    """Write the state."""
    folder, devices, per_file = sys.argv[1:]
    with closing(open_state("sqlite:.reconciler/state.db", Path(folder))) as backend:
        adopt(backend, fleet(int(devices), per_file=int(per_file)))


def adopt(backend: Backend, members: Iterable[Member]) -> None:
    """Record each device as adopted and confirmed."""
    lease = backend.acquire(this_process(os.environ), ttl=3600)
    rest = iter(members)
    while batch := list(islice(rest, AT_ONCE)):
        backend.append(
            lease, [draft for member in batch for draft in put(member.serial, member.fields, action="adopt")]
        )
    backend.release(lease)


def put(serial: str, body: Mapping[str, Json], *, action: str = "update", at: str = AT) -> list[Draft]:
    """The two entries of a PUT that was answered with what was sent."""
    fields: list[Json] = [field_to_json(FieldChange(f"/{name}", ABSENT, value)) for name, value in body.items()]
    return [
        Draft(EntryKind.INTENT, at, "run", Serial(serial), {"action": action, "fields": fields, "body": dict(body)}),
        Draft(EntryKind.APPLIED, at, "run", Serial(serial), {"status": 200, "attempts": 1}),
    ]


if __name__ == "__main__":
    main()
