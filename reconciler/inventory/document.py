"""What reading, resolving and validating hand to each other."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.inventory.yaml_core import Place
from reconciler.model import Json, Layer, Serial, Source, Value

MORE = "RC413"
"""The code of a finding that only counts, and of the problem that gives their number."""


@dataclass(frozen=True, slots=True)
class Document:
    """What one file holds. `value` is ABSENT if the file has none, or cannot be understood to its end.

    `file` is its name in messages; `damaged`, `places` and `marks` are `damaged`, `values` and `marks` of
    `yaml_core.Parsed`; `sum` is that of the file's bytes.
    """

    file: str
    path: Path
    value: Value
    damaged: frozenset[str]
    places: Mapping[str, Place]
    marks: Sequence[Any] = ()
    sum: bytes = b""


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
