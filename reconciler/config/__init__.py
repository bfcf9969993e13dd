"""Settings: flag > RECONCILER_* > nearest reconciler.toml or [tool.reconciler]."""

import difflib
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

from reconciler.config import guards
from reconciler.config.file import nearest, table_in
from reconciler.errors import ConfigError
from reconciler.model import Nested
from reconciler.policy import CiSettings, Freeze, GuardSettings, LifecycleSettings, OnRemovedSettings


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """`[api]`: how the device inventory is spoken to. Times in seconds."""

    base_url: str = ""
    route: str = "PUT /inventory_device_serial_operation/{serial_number}/"
    auth_scheme: str = "Bearer"
    token_command: str = ""
    proxy: str = ""
    body: Literal["plain", "data-string"] = "plain"
    nested: Nested | dict[str, Nested] = "replace"
    rate_per_second: float = 5.0
    burst: int = 10
    concurrency: int = 16
    concurrency_min: int = 4
    timeout: float = 30.0
    connect_timeout: float = 10.0
    linger: float = 5.0
    max_answer_bytes: int = 1 << 20
    attempts: int = 4
    backoff_base: float = 0.5
    backoff_ceiling: float = 60.0
    retry_after_max: float = 300.0
    retry_budget_pct: float = 10.0
    retry_budget_floor: int = 10
    breaker_failures: int = 10
    breaker_cooldown: float = 30.0
    breaker_probes: int = 3

    @property
    def server(self) -> str:
        """The base URL in one spelling."""
        return self.base_url.rstrip("/")

    def merges(self, name: str) -> bool:
        """Whether an object in this top-level field is sent key by key."""
        return (self.nested if isinstance(self.nested, str) else self.nested.get(name)) == "merge"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a run may depend on. Paths are absolute; `root` is the folder that relative ones start from."""

    root: Path
    file: Path | None = None
    inventory: Path = Path("inventory")
    schema: Path | None = None
    state: str = "sqlite:.reconciler/state.db"
    lineage: str = ""
    api: ApiSettings = field(default_factory=ApiSettings)
    guard: GuardSettings = field(default_factory=GuardSettings)
    lifecycle: LifecycleSettings = field(default_factory=LifecycleSettings)
    on_removed: OnRemovedSettings = field(default_factory=OnRemovedSettings)
    ci: CiSettings = field(default_factory=CiSettings)
    cache: Path | None = None
    """The folder of what is worth keeping between runs, and not keeping at all; None: none.

    The environment's alone: whoever may edit the file may commit a folder, too, which would tell us what we have read.
    """
    processes: int = 0
    """How many read the inventory; 0: one for each processor."""


def load(directory: Path, environ: Mapping[str, str], file: Path | None = None) -> Settings:
    """Settings for a run started in `directory`. Raises ConfigError naming the file and the key."""
    file = file or nearest(directory)
    if file and not file.is_file():
        raise ConfigError(f"{file}: no such file")
    table, name = table_in(file) if file else ({}, "")
    root = (file.parent if file else directory).resolve()
    settings: Settings = _build(Settings, table, name, "", {"root": root, "file": file})
    overrides: dict[str, Any] = {
        key: environ[variable] for key, variable in _VARIABLES.items() if environ.get(variable)
    }
    if "base_url" in overrides:
        _check_url(overrides["base_url"], _VARIABLES["base_url"])
        settings = replace(settings, api=replace(settings.api, base_url=overrides.pop("base_url")))
    settings = replace(settings, **overrides)
    schema = settings.schema or (root / "schemas" / "device.schema.json")
    settings = replace(
        settings,
        inventory=root / settings.inventory,
        schema=root / schema if settings.schema or schema.exists() else None,
        cache=_cache(root, environ),
    )
    _check(settings, name or "the environment")
    return settings


def _cache(root: Path, environ: Mapping[str, str]) -> Path | None:
    """Outside of the repository. Raises ConfigError where the variable names a folder inside."""
    repository = next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), root)
    if given := environ.get(_CACHE):
        if not given.startswith("/") or "\0" in given:
            raise ConfigError(f"{_CACHE} is {given!r}; expected an absolute path")
        if Path(given).resolve().is_relative_to(repository):
            raise ConfigError(
                f"{_CACHE} is {given}, inside of the repository, where a pull request could say what was read before;"
                " name a folder outside"
            )
        return Path(given)
    home = environ.get("HOME", "")
    folder = environ.get("XDG_CACHE_HOME") or (f"{home}/.cache" if home else "")
    outside = folder.startswith("/") and not Path(folder).resolve().is_relative_to(repository)
    return Path(folder) / "reconciler" if outside else None


_CACHE = "RECONCILER_CACHE"


_VARIABLES = {
    "inventory": "RECONCILER_INVENTORY",
    "schema": "RECONCILER_SCHEMA",
    "state": "RECONCILER_STATE",
    "base_url": "RECONCILER_BASE_URL",
}


def _build(kind: Any, table: Mapping[str, Any], name: str, prefix: str, given: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """`kind` from a TOML table; every key must be one of its fields, and of its type."""
    hints = get_type_hints(kind)
    known = [item.name for item in fields(kind) if item.name not in {"root", "file", "cache"}]
    values = dict(given)
    for key, value in table.items():
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            hint = f'did you mean "{close[0]}"?' if close else "known here: " + ", ".join(known)
            raise ConfigError(f'{name}: unknown key "{prefix}{key}"; {hint}')
        hint = hints[key]
        if is_dataclass(hint) and isinstance(value, dict):
            values[key] = _build(hint, value, name, f"{prefix}{key}.", {})
            continue
        if hint == tuple[Freeze, ...] and isinstance(value, list) and all(isinstance(item, dict) for item in value):
            tables = [_build(guards.FreezeTable, item, name, f"{prefix}{key}.", {}) for item in value]
            values[key] = tuple(guards.window(table, f"{name}: {prefix}{key}") for table in tables)
            continue
        read, expected = _reader(hint)
        if read is None or (read_value := read(value)) is None:
            raise ConfigError(f"{name}: {prefix}{key} is {value!r}; expected {expected}")
        values[key] = read_value
    return kind(**values)


def _reader(hint: Any) -> tuple[Callable[[Any], Any] | None, str]:  # noqa: ANN401 - types are any
    """What turns a TOML value into one of this type, or into None if it is none; and how to call the type."""
    choices = get_args(hint) if get_origin(hint) is Literal else ()
    readers: dict[Any, tuple[Callable[[Any], Any], str]] = {
        int: (lambda value: value if type(value) is int else None, "a whole number"),
        int | None: (lambda value: value if type(value) is int else None, "a whole number"),
        float: (_number, "a number below 1e308"),
        str: (lambda value: value if isinstance(value, str) else None, "a string"),
        Path: (lambda value: Path(value) if isinstance(value, str) else None, "a path"),
        Path | None: (lambda value: Path(value) if isinstance(value, str) else None, "a path"),
        tuple[str, ...]: (_strings, "a list of strings"),
        tuple[Freeze, ...]: (lambda _: None, "tables, each under [[guard.freeze]]"),
        dict[str, tuple[str, ...]]: (_moves, "a table of lists of strings"),
        dict[str, Any]: (lambda value: value if isinstance(value, dict) else None, "a table of fields"),
        Nested | dict[str, Nested]: (_nested, 'one of "replace", "merge", or a table of these by field'),
    }
    if choices:
        return lambda value: value if value in choices else None, "one of " + ", ".join(f'"{item}"' for item in choices)
    return readers.get(hint, (None, "a table"))


def _number(value: Any) -> float | None:  # noqa: ANN401 - whatever TOML holds
    with suppress(OverflowError):
        return float(value) if type(value) in {int, float} else None
    return None


def _strings(value: Any) -> tuple[str, ...] | None:  # noqa: ANN401 - whatever TOML holds
    return tuple(value) if isinstance(value, list) and all(isinstance(item, str) for item in value) else None


def _moves(value: Any) -> dict[str, tuple[str, ...]] | None:  # noqa: ANN401 - whatever TOML holds
    lists = {key: _strings(item) for key, item in value.items()} if isinstance(value, dict) else {"": None}
    moves = {key: item for key, item in lists.items() if item is not None}
    return moves if len(moves) == len(lists) else None


def _nested(value: Any) -> Any:  # noqa: ANN401 - whatever TOML holds
    choices = value.values() if isinstance(value, dict) else [value]
    return value if all(choice in get_args(Nested) for choice in choices) else None


def _check(settings: Settings, name: str) -> None:
    """Raise ConfigError for values that are of the right type and still cannot be meant."""
    for text in (str(settings.inventory), str(settings.schema), settings.state):
        if "\0" in text:
            raise ConfigError(f"{name}: {text!r} is no path")
    api = settings.api
    if api.base_url:
        _check_url(api.base_url, name)
    method, _, path = api.route.partition(" ")
    if (
        not re.fullmatch(r"[!-~]{1,1000}", path)
        or method not in {"PUT", "PATCH"}
        or not path.startswith("/")
        or path.count("{serial_number}") != 1
    ):
        raise ConfigError(f'{name}: api.route is {api.route!r}; expected "PUT /PATH/{{serial_number}}/"')
    if api.proxy:
        _check_proxy(api.proxy, name)
    if not re.fullmatch(r"[!-~]+", api.auth_scheme):
        raise ConfigError(f"{name}: api.auth_scheme is {api.auth_scheme!r}; expected one word, such as Bearer")
    positive = ("rate_per_second", "timeout", "connect_timeout", "breaker_cooldown")
    bounds = [(f"api.{key}", getattr(api, key), 0.001, 1e6) for key in positive]
    waits = ("linger", "backoff_base", "backoff_ceiling", "retry_after_max")
    bounds += [(f"api.{key}", getattr(api, key), 0, 86400) for key in waits]
    bounds += [("processes", settings.processes, 0, 256)]
    bounds += [("api.max_answer_bytes", api.max_answer_bytes, 1024, 1 << 30)]
    counts = ("burst", "concurrency", "concurrency_min", "attempts", "breaker_failures", "breaker_probes")
    bounds += [(f"api.{key}", getattr(api, key), 1, 1000) for key in counts]
    bounds += [(f"api.{key}", getattr(api, key), 0, 1000) for key in ("retry_budget_pct", "retry_budget_floor")]
    for key, value, low, high in bounds:
        if not low <= value <= high:
            raise ConfigError(f"{name}: {key} is {value}; expected {low:g} to {high:g}")
    guards.check(settings.guard, settings.lifecycle, settings.on_removed, name)


def _check_url(base_url: str, name: str) -> None:
    if not re.fullmatch(r"[!-~]{1,2000}", base_url):
        raise ConfigError(f"{name}: base_url is {base_url!r}; expected https://HOST/PATH, without white space")
    try:
        url = urlsplit(base_url)
        host, _ = url.hostname, url.port
    except ValueError as error:
        raise ConfigError(f"{name}: base_url is {base_url!r}: {error}") from None
    if url.scheme not in {"http", "https"} or not host:
        raise ConfigError(f"{name}: base_url is {base_url!r}; expected https://HOST/PATH")
    if url.username or url.password or url.query or url.fragment:
        raise ConfigError(f"{name}: base_url must not hold a user, a query or a fragment")
    if url.scheme == "http" and host not in {"127.0.0.1", "localhost", "::1"}:
        raise ConfigError(f"{name}: base_url {base_url!r} would send the token in clear text; use https://")


def _check_proxy(proxy: str, name: str) -> None:
    try:
        url = urlsplit(proxy)
        usable = url.scheme in {"http", "https"} and url.hostname and url.port and not (url.username or url.password)
    except ValueError:
        usable = False
    if not usable or not re.fullmatch(r"[!-~]{1,2000}", proxy):
        shown = "not shown, since it names a user" if "@" in proxy else repr(proxy)
        raise ConfigError(f"{name}: api.proxy is {shown}; expected http://HOST:PORT, without a user")
