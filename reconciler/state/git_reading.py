"""A git state as of one commit: read, checked, and remembered as long as nothing in it moves."""

import gc
import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from reconciler.change_json import device_to_json
from reconciler.errors import StateError, StateTooNew
from reconciler.model import DeviceState, Entry, Serial
from reconciler.state import git_tree as tree
from reconciler.state.backend import Head, Keep, Look
from reconciler.state.chain import GENESIS
from reconciler.state.check import damaged
from reconciler.state.git_repository import Repository
from reconciler.state.right import Right

_PAGE = 16
_DEVICES = 1000


@dataclass(frozen=True, slots=True)
class Tip:
    """The state as of one commit, without its devices and its journal."""

    commit: str
    root: tree.Root
    right: Right


class Reading:
    """Reads the branch of a repository. Raises StateError, or one of its children, for what is no whole state."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._tip: Tip | None = None
        self._files: tuple[str, dict[str, str]] = ("", {})
        self._devices: tuple[dict[str, str], dict[Serial, DeviceState]] = ({}, {})

    def latest(self) -> Tip | None:
        """The state as the remote has it now; None if there is none."""
        before = self._repository.known()
        commit = self._repository.fetch()
        if commit is None:
            self._tip = None
        elif self._tip is None or self._tip.commit != commit:
            self._tip = self.opened(commit)
        if before is not None and before != commit:
            self._only_forward(before, self._tip)
        return self._tip

    def _only_forward(self, before: str, tip: Tip | None) -> None:
        """Raises StateError if the branch is gone, older than here or another state: knows less than was applied."""
        try:
            known = self.opened(before).root.head
        except StateError:
            return  # what was fetched once is not here any more
        head = tip.root.head if tip else None
        if head and head.lineage == known.lineage and head.revision >= known.revision:
            return
        now = f"is of revision {head.revision} now" if head else "is gone now"
        now = f"is of lineage {head.lineage} now" if head and head.lineage != known.lineage else now
        self._tip = None
        self._repository.remember(before)
        raise StateError(
            f"{self._repository.place} {now}, and was of revision {known.revision} of {known.lineage} when it was last"
            f" fetched: somebody removed or rewrote it. To put it back: {self._repository.put_back(before)}; if it was"
            f" meant, in every clone: {self._repository.forget}"
        )

    def opened(self, commit: str) -> Tip:
        """The state as of a commit that is here."""
        contents = self._repository.read([f"{commit}:{tree.STATE}", f"{commit}:{tree.LEASE}"])
        found = []
        for name, content in zip((tree.STATE, tree.LEASE), contents, strict=True):
            if content is None:
                raise damaged(self._repository.place, f"it has no {name}, so it is no state, or not all of one")
            try:
                item = tree.opened(content)
            except ValueError as error:
                raise damaged(self._repository.place, f"{name} cannot be used: {error}") from error
            if item["format"] > tree.FORMAT:
                raise StateTooNew(
                    f"{self._repository.place} has state format {item['format']}, this program knows up to"
                    f" {tree.FORMAT}; use the version of the program that wrote it, or a newer one"
                )
            found.append(item)
        try:
            return Tip(commit, tree.root_from_json(found[0]), tree.right_in(found[1]))
        except (KeyError, TypeError) as error:
            raise damaged(self._repository.place, f"{tree.STATE} or {tree.LEASE} lacks {error}") from error

    def files(self, tip: Tip) -> dict[str, str]:
        """Every file of the snapshot and the journal, and its blob; checked against the sum."""
        commit, files = self._files
        if commit != tip.commit:
            files = self._repository.listing(tip.commit, tree.SNAPSHOT, tree.JOURNAL)
            if tree.total(files) != tip.root.sum:
                raise damaged(
                    self._repository.place, "a file of the snapshot or the journal was added, altered or removed"
                )
            self._files = tip.commit, files
        return files

    def contents(self, blobs: Sequence[str]) -> list[bytes]:
        """The content of these blobs."""
        contents = self._repository.read(blobs)
        if None in contents:
            raise damaged(self._repository.place, f"blob {blobs[contents.index(None)]} is missing in this clone")
        return [content for content in contents if content is not None]

    def snapshot(self, tip: Tip) -> dict[Serial, DeviceState]:
        """The devices as of `tip`."""
        shards = {path: name for path, name in self.files(tip).items() if path.startswith(f"{tree.SNAPSHOT}/")}
        if self._devices[0] != shards:
            contents = self.contents(list(shards.values()))
            devices: dict[Serial, DeviceState] = {}
            with _nothing_is_garbage():
                for start in range(0, len(contents), _PAGE):
                    devices.update(self.parsed(contents[start : start + _PAGE]))
            if len(devices) != tip.root.devices:
                raise damaged(self._repository.place, f"{len(devices)} devices where {tip.root.devices} were written")
            self._devices = shards, devices
        return self._devices[1]

    def parsed(self, shards: Sequence[bytes]) -> dict[Serial, DeviceState]:
        """The devices in these files of the snapshot."""
        try:
            return tree.devices_in(shards)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise damaged(self._repository.place, f"a file of the snapshot cannot be read: {error}") from error

    def journal(self, tip: Tip, *, serial: Serial | None = None, after: int = 0) -> Iterator[Entry]:
        """The entries as of `tip` with `seq > after`, in order; of one device if `serial` is given."""
        files = self.files(tip)
        names = tree.segments(files, after=after)
        for start in range(0, len(names), _PAGE):
            page = names[start : start + _PAGE]
            for name, content in zip(page, self.contents([files[name] for name in page]), strict=True):
                try:
                    for entry in tree.entries_in(content):
                        if entry.seq > after and (serial is None or entry.serial == serial):
                            yield entry
                except (ValueError, KeyError, TypeError) as error:
                    raise damaged(self._repository.place, f"{name} cannot be read: {error}") from error

    def look(self, tip: Tip, since: Head, serials: Collection[Serial]) -> Look | None:
        """As Backend.look."""
        head = tip.root.head
        if since.lineage not in {"", head.lineage} or not self._follows(tip, since):
            return None
        self.files(tip)
        later = self.journal(tip, after=since.seq) if head.seq > since.seq else ()
        touched = frozenset(entry.serial for entry in later if entry.serial is not None)
        known = self.snapshot(tip) if touched or serials else {}
        devices = {serial: known[serial] for serial in {*touched, *serials} if serial in known}
        return Look(head, tip.root.sum, tip.root.devices, touched, devices, tip.right.lease)

    def _follows(self, tip: Tip, since: Head) -> bool:
        """Whether the journal as of `tip` goes on from `since`."""
        if since.seq in {0, tip.root.head.seq}:
            return since.hash == (tip.root.head.hash if since.seq else GENESIS)
        entry = next(self.journal(tip, after=since.seq - 1), None)
        return entry is not None and (entry.seq, entry.hash) == (since.seq, since.hash)

    def copy(self, tip: Tip, keep: Keep) -> Look:
        """As Backend.copy."""
        devices = sorted(self.snapshot(tip).items())
        for start in range(0, len(devices), _DEVICES):
            page = devices[start : start + _DEVICES]
            keep([(serial, json.dumps(device_to_json(state))) for serial, state in page])
        return Look(tip.root.head, tip.root.sum, tip.root.devices, lease=tip.right.lease)


@contextmanager
def _nothing_is_garbage() -> Iterator[None]:
    """A million new values, and all stay: the collector would look at them again and again, for a third of the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
