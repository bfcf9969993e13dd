"""Some files -> what they come to: what the index keeps of them, what is wrong, and what would change."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from reconciler import pointer
from reconciler.brief import Spot
from reconciler.canonical import canonical, checksum
from reconciler.config import Settings
from reconciler.conformance import check_settings, schema_at
from reconciler.desired import misplaced_word
from reconciler.fleet.changes import Packed, packed
from reconciler.fleet.compare import Compared, compared
from reconciler.fleet.held import quiet
from reconciler.index import Indexed
from reconciler.inventory import across, resolve
from reconciler.inventory import validate as fields
from reconciler.inventory.compile import Schema
from reconciler.inventory.document import Candidate, Document, Finding, Place
from reconciler.inventory.files import display
from reconciler.inventory.layering import Fact, Layering
from reconciler.inventory.merge import ListRules
from reconciler.inventory.origin import origin
from reconciler.inventory.read import contents, documents
from reconciler.inventory.schema import packaged_path
from reconciler.inventory.yaml_core import places
from reconciler.model import (
    ABSENT,
    DesiredState,
    Device,
    DeviceState,
    Problem,
    Serial,
    Snapshot,
    Standing,
)
from reconciler.plan.marks import Marks, marks, misplaced

Held = Callable[[Sequence[Serial]], Mapping[Serial, DeviceState]]
"""How those of these devices stand that the state knows."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all files of a run. `defaults` and `groups` are the layers above them, by absolute name.

    `sums` are those of Context.
    """

    settings: Settings
    today: date
    defaults: tuple[str, ...]
    groups: tuple[str, ...]
    sums: Mapping[str, bytes]
    resend: bool = False


@dataclass(slots=True)
class Survey:
    """What some files come to. `resolved` and `invalid` are findings before and after the schema was asked.

    `damaged` and `paths` are by the names that findings use. `changes` and `observed` are packed.
    `shifted`: a layer or the schema was edited since its sum was taken, so that none of this may be remembered.
    """

    shifted: bool = False
    files: list[Indexed] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    resolved: list[Finding] = field(default_factory=list)
    invalid: list[Finding] = field(default_factory=list)
    irremovable: list[tuple[Serial, Finding]] = field(default_factory=list)
    damaged: dict[str, frozenset[str]] = field(default_factory=dict)
    paths: dict[str, Path | str] = field(default_factory=dict)
    facts: dict[Fact, str] = field(default_factory=dict)
    changes: list[Packed] = field(default_factory=list)
    observed: list[Packed] = field(default_factory=list)
    standing: list[Standing] = field(default_factory=list)
    paused: list[Serial] = field(default_factory=list)


class Surveyor:
    """Reads files under the layers, the schema and the settings of one run, which it reads once.

    Devices are compared with how they stand if it is given `held`. `survey` holds what is wrong with these themselves.
    """

    def __init__(self, terms: Terms, held: Held | None) -> None:
        self._terms, self._held = terms, held
        self._root = terms.settings.root
        self.survey = Survey()
        path = terms.settings.schema or packaged_path("device")
        name = display(self._root, path)
        schema = schema_at(path, name)
        self._schema = schema if isinstance(schema, Schema) else None
        self.rules = marks(schema.document) if isinstance(schema, Schema) else Marks()
        if isinstance(schema, Problem):
            self.survey.problems.append(schema)
        elif isinstance(schema, Finding):
            self.survey.invalid.append(schema)
        else:
            check_settings(terms.settings, schema.document)
            self.survey.invalid += (misplaced_word(name, at, why) for at, why in misplaced(schema.document))
        self._lists = ListRules(self.rules.merged_sets, self.rules.merged_by)
        self._where = fields.spots(self._lists, terms.today)
        defaults = documents(self._root, terms.defaults, self.survey.problems)
        groups = documents(self._root, terms.groups, self.survey.problems)
        self.layering = Layering(defaults, groups, self._lists, terms.today)
        self.survey.resolved += self.layering.findings
        self.survey.paths[name] = path
        self._shared = {document.file: document for document in (*defaults, *groups)}
        for document in self._shared.values():
            self._note(self.survey, document)
        read = {document.path: document.sum for document in self._shared.values()}
        read |= {file: checksum(data) for file, data in contents(self._root, [str(path)])}
        self.survey.shifted = any(terms.sums[file] != now for file, now in read.items())

    @property
    def shows_text(self) -> bool:
        """Whether lines of files may be shown: there is a schema to say that they hold no secret."""
        return self._schema is not None and not self.rules.secret

    def look(self, files: Iterable[str]) -> Survey:
        """What these files come to."""
        survey = Survey(shifted=self.survey.shifted)
        found = documents(self._root, files, survey.problems)
        candidates, survey.resolved = resolve.declared(found, self.layering)
        if self._schema:
            survey.invalid = fields.validate(candidates, self._schema, self.rules.sensitive, self._where)
        for document in found:
            self._note(survey, document)
        inside: dict[str, list[Candidate]] = {document.file: [] for document in found}
        for candidate in candidates:
            inside[candidate.source.file].append(candidate)
        devices = {file: resolve.devices(within) for file, within in inside.items()}
        same: set[Serial] = set()
        if self._held and not survey.problems and all(it.warning for it in (*survey.resolved, *survey.invalid)):
            same = self._compare(survey, self._held, devices.values(), found)
        noted = {finding.file for finding in (*survey.resolved, *survey.invalid)}
        for document in found:
            at = document.file
            survey.files.append(self._indexed(document, inside[at], devices[at].values(), same, noted=at in noted))
        names = {document.file: document.path for document in found}
        survey.facts = {fact: names[file] for fact, file in self.layering.witnesses.items() if file in names}
        return survey

    def swapped(self, files: Iterable[str], gone: Mapping[Serial, DeviceState]) -> Compared:
        """What becomes of devices in `files` that replace others, and of those that are `gone`: declared no more."""
        found = documents(self._root, files, [])
        candidates, _ = resolve.declared(found, self.layering)
        swaps = resolve.devices(candidate for candidate in candidates if candidate.replaces)
        theirs = Snapshot(devices={**(self._held(list(swaps)) if self._held else {}), **gone})
        return self._compared(DesiredState(swaps, self._terms.today), theirs, found)

    def across(self, files: Iterable[str], serials: Callable[[], set[str]]) -> Survey:
        """What is wrong with `files` beside each other; `serials` are all that are declared anywhere."""
        survey = Survey()
        found = documents(self._root, files, [])
        for document in found:
            self._note(survey, document)
        candidates, resolved = resolve.declared(found, self.layering)
        survey.resolved = [finding for finding in resolved if finding.code in {"RC307", "RC308"}]
        survey.invalid += across.repeated(candidates, self.rules.unique, self._where)
        declared = serials() if self.rules.references else set()
        survey.invalid += across.dangling(
            candidates, self.rules.references, self._where, self.rules.sensitive, declared
        )
        survey.invalid += across.swapped(candidates)
        return survey

    def _compare(
        self, survey: Survey, held: Held, declared: Iterable[Mapping[Serial, Device]], found: Sequence[Document]
    ) -> set[Serial]:
        """Fill in what a plan tells of these devices; returns those of which it tells nothing."""
        devices = {serial: it for inside in declared for serial, it in inside.items() if not it.replaces}
        theirs = Snapshot(devices=held(list(devices)))
        result = self._compared(DesiredState(devices, self._terms.today), theirs, found)
        survey.changes = [packed(change) for change in result.changes]
        survey.observed = [packed(change) for change in result.observed]
        survey.standing, survey.paused = list(result.standing), list(result.paused)
        survey.irremovable = list(result.irremovable)
        moving = {change.serial for change in (*result.changes, *result.observed)}
        return {serial for serial, state in theirs.devices.items() if serial not in moving and quiet(state)}

    def _compared(self, ours: DesiredState, theirs: Snapshot, found: Sequence[Document]) -> Compared:
        terms = self._terms
        files = {document.file: document for document in found}
        known: dict[str, Callable[[str], Place | None]] = {}

        def place(file: str, at: str) -> Spot:
            if file not in known:
                document = files.get(file) or self._shared[file]
                known[file] = places(document.value, document.marks)
            found = known[file](at)
            return (file, *found) if found else None

        def where(device: Device, paths: Sequence[str]) -> tuple[Sequence[Spot], Sequence[bool]]:
            own = device.layers[-1]
            inside = files[own.file].inside  # of another file, if two are called the same in messages
            there = inside.get(own.pointer, {}) if not own.unset and not own.overrides else {}
            spots: list[Spot] = []
            alone: list[bool] = []
            for path in paths:
                if (key := path[1:]) in there and "/" not in key and "~" not in key:
                    mark = there[key]  # as origin would say, of nearly all that is adopted
                    spots.append((own.file, mark.line + 1, mark.column + 1))
                    alone.append(True)
                else:
                    said = origin(device.layers, path, terms.today)
                    spots.append(place(said.layer.file, said.pointer) if said else None)
                    alone.append(said is not None and said.layer is own)
            return spots, alone

        return compared(terms.settings, self.rules, ours, theirs, where, resend=terms.resend)

    def _indexed(
        self,
        document: Document,
        inside: Sequence[Candidate],
        devices: Collection[Device],
        same: set[Serial],
        *,
        noted: bool,
    ) -> Indexed:
        layers = (layer for item in inside for layer in item.layers if layer.overrides and layer.file == document.file)
        days = [item.until for layer in layers for item in layer.overrides if item.until >= self._terms.today]
        return Indexed(
            document.path,
            document.sum,
            loud=noted or any(device.manage != "apply" for device in devices),
            until=min(days).isoformat() if days else "",
            devices=tuple((item.serial, checksum(canonical(item.fields)), item.serial in same) for item in devices),
            claims=tuple(self._claims(inside)),
            references=tuple(self._references(inside)),
            swaps=tuple((device.serial, device.replaces) for device in devices if device.replaces),
        )

    def _claims(self, inside: Iterable[Candidate]) -> Iterator[tuple[str, bytes]]:
        """As across.repeated compares them."""
        for candidate in inside:
            for path in self.rules.unique:
                value = pointer.get(candidate.value, path)
                if value is not ABSENT and value is not None:
                    yield path, checksum(canonical(value).casefold())

    def _references(self, inside: Iterable[Candidate]) -> Iterator[str]:
        for candidate in inside:
            for path in self.rules.references:
                value = pointer.get(candidate.value, path)
                for item in value if isinstance(value, list) else [value]:
                    if item is not ABSENT and item is not None:
                        yield item if isinstance(item, str) else f"not a serial number: {canonical(item)}"

    def _note(self, survey: Survey, document: Document) -> None:
        """What whoever tells of findings in a document has to know of it."""
        survey.paths[document.file] = document.path
        if document.damaged:
            survey.damaged[document.file] = document.damaged
