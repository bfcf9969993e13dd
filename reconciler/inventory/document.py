"""What reading, resolving and validating hand to each other."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from reconciler.model import Json, Layer, Problem, Serial, Source, Value

DEFAULTS, GROUPS = "_defaults.yaml", "_groups"
"""The file for the defaults of its folder, and the folder for groups at the top of the inventory."""
MORE = "RC413"
"""The code of a finding that only counts, and of the problem that gives their number."""

MAX_DEPTH = 32
MAX_PROBLEMS = 100
"""A file with more of them is not read further: it was never meant as an inventory file."""


class Place(NamedTuple):
    """Line and column, both from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a text holds.

    `value` is ABSENT for a text without a document, or one that cannot be understood to its end. What stands at a
    `damaged` pointer is a stand-in: its problem is told already. `values`, `keys` and `raw` are by pointer: where a
    value and its key stand, and how a plain scalar that is not a string was spelled. Unless all places were asked for,
    `values` holds only the mappings that may be devices, and the others are empty. `inside` says by key where the
    values in these stand, and `marks` where every value does, each before what is in it: `yaml_core.places` makes
    pointers of that where somebody asks.
    """

    value: Value
    problems: tuple[Problem, ...]
    damaged: frozenset[str]
    values: Mapping[str, Place]
    keys: Mapping[str, Place]
    raw: Mapping[str, str]
    marks: Sequence[Any] = field(default=(), compare=False)
    inside: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Document:
    """What one file holds. `value` is ABSENT if the file has none, or cannot be understood to its end.

    `file` is its name in messages, `path` an absolute one; `damaged`, `places`, `marks` and `inside` are `damaged`,
    `values`, `marks` and `inside` of Parsed; `sum` is that of the file's bytes. `plain`: there is no `$` and no `{`
    in it, nor an escape that could stand for one, so that it holds no `$` word and nothing to be filled in.
    """

    file: str
    path: str
    value: Value
    damaged: frozenset[str]
    places: Mapping[str, Place]
    marks: Sequence[Any] = ()
    inside: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sum: bytes = b""
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """A mapping that declares a device; `serial` is None while it has no usable one.

    `value` is what all `layers` make of it, the serial number included; `pointer` is where it is in its file.
    """

    serial: Serial | None
    value: dict[str, Json]
    source: Source
    pointer: str
    layers: tuple[Layer, ...] = ()
    replaces: Serial | None = None

    def label(self, *keys: str | int) -> str:
        """How messages call a value of this device: `AP-0001.configuration.vlan`."""
        index = self.pointer.rpartition("/")[2]
        name = self.serial or (f"devices[{index}]" if index else "this device")
        return name + steps(keys)


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem at a pointer of a file, before anybody looked up where in the file that is.

    `message` "": not spelled out, since the file has more than enough of them; it only counts.
    `at_key`: the key is wrong, not its value. `also`: file and pointer of a second place, named at the end of the
    message. `unquoted`: the way out is quotes around the value as it is spelled. `device`: the place is shared by
    devices, and this is one of those for which it is wrong. `warning`: nothing has to be done about it now.
    """

    code: str
    message: str
    fix: str
    file: str
    pointer: str
    at_key: bool = False
    also: tuple[str, str] | None = None
    unquoted: bool = False
    device: Serial | None = None
    warning: bool = False


def steps(keys: Iterable[str | int]) -> str:
    """A path as messages spell it, after the name of the device: `.configuration.ssids[0]`."""
    return "".join(_step(key) for key in keys)


def _step(key: str | int) -> str:
    if isinstance(key, int):
        return f"[{key}]"
    return f".{key}" if key.replace("-", "_").isidentifier() else f'["{key}"]'
