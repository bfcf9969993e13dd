"""What surveys found, gathered as they come in any order: findings, changes, and what else a plan tells."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.fleet.changes import Changes, packed
from reconciler.model import Problem, Serial, Standing

if TYPE_CHECKING:
    from reconciler.fleet.compare import Compared
    from reconciler.fleet.survey import Survey
    from reconciler.inventory.document import Finding


@dataclass(slots=True)
class Tally:
    """The sum of the surveys of one run. Which of them came first decides nothing, but for the order of findings."""

    problems: list[Problem] = field(default_factory=list)
    resolved: "list[Finding]" = field(default_factory=list)
    invalid: "list[Finding]" = field(default_factory=list)
    irremovable: "list[tuple[Serial, Finding]]" = field(default_factory=list)
    damaged: dict[str, frozenset[str]] = field(default_factory=dict)
    paths: dict[str, Path | str] = field(default_factory=dict)
    changes: Changes = field(default_factory=Changes)
    observed: Changes = field(default_factory=Changes)
    standing: dict[Serial, Standing] = field(default_factory=dict)
    paused: set[Serial] = field(default_factory=set)
    shifted: bool = False

    def add(self, survey: "Survey") -> None:
        """One more survey of other files."""
        self.note(survey)
        self.resolved += survey.resolved
        self.invalid += survey.invalid
        self.irremovable += survey.irremovable
        self.changes.add(survey.changes)
        self.observed.add(survey.observed)
        self.standing |= {item.serial: item for item in survey.standing}
        self.paused |= set(survey.paused)

    def note(self, survey: "Survey") -> None:
        """What is wrong with files as such, and where the files are whose names its findings use."""
        self.shifted |= survey.shifted
        if survey.problems:
            known = set(self.problems)
            self.problems += (problem for problem in survey.problems if problem not in known)
        self.damaged |= survey.damaged
        findings = (*survey.resolved, *survey.invalid)
        noted = {name for finding in findings for name in (finding.file, *(finding.also or ())[:1])}
        self.paths |= {name: path for name, path in survey.paths.items() if name in noted}

    def compared(self, rest: "Compared") -> None:
        """What was compared apart from any file."""
        self.irremovable += rest.irremovable
        self.changes.add(map(packed, rest.changes))
        self.observed.add(map(packed, rest.observed))
        self.standing |= {item.serial: item for item in rest.standing}
        self.paused |= set(rest.paused)

    def without(self, serials: Iterable[Serial]) -> None:
        """Forget how these devices compare to the state: they are to be compared anew."""
        gone = set(serials)
        self.irremovable = [item for item in self.irremovable if item[0] not in gone]
        self.changes.without(gone)
        self.observed.without(gone)
        self.standing = {serial: item for serial, item in self.standing.items() if serial not in gone}
        self.paused -= gone

    def told(self) -> Sequence[Standing]:
        """What stands, in serial order."""
        return [self.standing[serial] for serial in sorted(self.standing)]
