"""What the branch of a git state looks like: paths and lines. Pure.

    state.json             what the state is, and a sum over the files below
    lease.json             who may write it
    snapshot/1f/c.jsonl    the devices whose serial's SHA-256 begins with 1fc: a line each, in order
    journal/000000001.jsonl  entries from number 1 on, a line each; a new file begins after SEGMENT bytes

Everything is ASCII JSON, so that nothing in it can act on the terminal that shows it.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from reconciler.canonical import sha256
from reconciler.change_json import device_from_json, device_to_json
from reconciler.model import DeviceState, Draft, Entry, EntryKind, Json, Serial
from reconciler.printable import printable
from reconciler.state.backend import Head
from reconciler.state.right import Right, right_from_json, right_to_json

FORMAT = 1
STATE, LEASE, SNAPSHOT, JOURNAL = "state.json", "lease.json", "snapshot", "journal"
SEGMENT = 256 * 1024
"""Bytes: an append rewrites at most this much of the journal, and what it adds."""
_NAMED = 25


@dataclass(frozen=True, slots=True)
class Root:
    """What `state.json` says: the head, how many devices there are, and the sum over the snapshot and the journal."""

    head: Head
    devices: int = 0
    sum: str = ""


def shard(serial: Serial) -> str:
    """The file that holds this device."""
    name = hashlib.sha256(serial.encode(errors="surrogatepass")).hexdigest()
    return f"{SNAPSHOT}/{name[:2]}/{name[2]}.jsonl"


def total(files: Mapping[str, str]) -> str:
    """The sum over `files` (path to blob): what `git ls-tree -r` prints of them, hashed."""
    return hashlib.sha256("".join(f"{files[path]} {path}\n" for path in sorted(files)).encode()).hexdigest()


def blob(content: bytes, like: str) -> str:
    """The name that git gives to this content, in a repository whose names look `like` this one."""
    algorithm = hashlib.sha256 if len(like) == 64 else hashlib.sha1  # noqa: PLR2004 - hex digits of a SHA-256
    return algorithm(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def devices_in(shards: Sequence[bytes]) -> dict[Serial, DeviceState]:
    """The devices of these files. Raises ValueError, KeyError or TypeError for anything else."""
    # One document for many lines: keys are then shared in memory, and it is parsed faster.
    lines = b"".join(shards).rstrip(b"\n").replace(b"\n", b",")
    return {item.pop("serial"): device_from_json(item) for item in json.loads(b"[%s]" % lines)}


def shard_of(devices: Mapping[Serial, DeviceState]) -> bytes | None:
    """The file that holds these devices; None if there are none."""
    return b"".join(_line({"serial": serial, **device_to_json(devices[serial])}) for serial in sorted(devices)) or None


def segments(files: Iterable[str], *, after: int = 0) -> list[str]:
    """The journal's files that may hold entries with `seq > after`, in order."""
    names = sorted(path for path in files if path.startswith(f"{JOURNAL}/"))
    return [name for at, name in enumerate(names) if at + 1 == len(names) or _first(names[at + 1]) > after + 1]


def extended(last: str | None, content: bytes, entries: Iterable[Entry]) -> dict[str, bytes]:
    """The journal's files that change when `entries` come after the file `last` with this `content`."""
    files: dict[str, list[bytes]] = {}
    name, size = last, len(content)
    for entry in entries:
        if name is None or size >= SEGMENT:
            name, size, content = f"{JOURNAL}/{entry.seq:09}.jsonl", 0, b""
        line = _line(asdict(entry))
        files.setdefault(name, [content]).append(line)
        size += len(line)
    return {path: b"".join(lines) for path, lines in files.items()}


def entries_in(segment: bytes) -> Iterator[Entry]:
    """The entries of one file. Raises ValueError, KeyError or TypeError for anything else."""
    for line in segment.splitlines():
        item = json.loads(line)
        if not all(isinstance(item[key] or "", str) for key in ("at", "run", "serial", "previous", "hash")):
            raise ValueError("what must be text is not")
        yield Entry(**{**item, "kind": EntryKind(item["kind"])})


def root_to_bytes(root: Root) -> bytes:
    """The content of `state.json`."""
    return _sealed({"format": FORMAT, **asdict(root.head), "devices": root.devices, "sum": root.sum})


def root_from_json(item: Mapping[str, Any]) -> Root:
    """The inverse, of what `opened` gives. Raises KeyError or TypeError for anything else."""
    head = Head(**{key: item[key] for key in ("lineage", "revision", "seq", "hash", "server")})
    return Root(head, item["devices"], item["sum"])


def right_to_bytes(right: Right) -> bytes:
    """The content of `lease.json`."""
    return _sealed({"format": FORMAT, **right_to_json(right)})


def right_in(item: Mapping[str, Any]) -> Right:
    """The inverse, of what `opened` gives. Raises KeyError or TypeError for anything else."""
    return right_from_json(item)


def opened(content: bytes) -> dict[str, Any]:
    """What `state.json` or `lease.json` holds. Raises ValueError if it was altered; a newer format is left alone."""
    item = json.loads(content)
    if not isinstance(item, dict) or not isinstance(item.get("format"), int):
        raise ValueError("it has no format")  # noqa: TRY004 - damage like the others
    if item["format"] <= FORMAT and item.pop("seal", None) != sha256(item):
        raise ValueError("it was altered")
    return item


def message(drafts: Sequence[Draft]) -> str:
    """What an append did, for readers of `git log`: runs and counts first, then the devices."""
    runs = list(dict.fromkeys(draft.run for draft in drafts if draft.run))
    counts = Counter(draft.kind.value for draft in drafts)
    done = ", ".join(kind if kind in {"run", "ended"} else f"{count} {kind}" for kind, count in counts.items())
    subject = f"Run {', '.join(runs)}: {done}" if runs else f"Record {done or 'nothing'}"
    about = [f"{draft.kind.value} {draft.serial}" for draft in drafts if draft.serial]
    more = [f"and {len(about) - _NAMED} more"] if len(about) > _NAMED else []
    return "\n".join(map(printable, [subject, *([""] if about else []), *about[:_NAMED], *more]))


def _first(segment: str) -> int:
    return int(segment.removeprefix(f"{JOURNAL}/").removesuffix(".jsonl"))


def _line(content: Mapping[str, Json]) -> bytes:
    return json.dumps(content, allow_nan=False).encode() + b"\n"


def _sealed(content: dict[str, Any]) -> bytes:
    return json.dumps(content | {"seal": sha256(content)}, indent=2).encode() + b"\n"
