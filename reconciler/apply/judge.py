"""What an answer means for a device. Pure."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from reconciler.apply.answer import Answer, NoAnswer, NotSent
from reconciler.apply.quoting import quotes
from reconciler.apply.verify import divergence
from reconciler.errors import ApiError, AuthenticationError
from reconciler.model import ABSENT, Accepted, Applied, Change, Divergent, Json, Outcome, Rejected, Unknown, Value
from reconciler.pointer import get, join, within

SUCCESS, ACCEPTED, NO_CONTENT, UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 200, 202, 204, 401, 403, 404
REFUSED_FOR_NOW = 429
MAYBE_DONE = frozenset({408, 500, 502, 503, 504})
"""The request may have been carried out; asking again is safe, because a PUT is idempotent."""

SPEAKING = frozenset({"detail", "message", "error", "msg", "title", "non_field_errors"})
"""Keys that hold words about the whole request, not about a field."""
MAX_DEPTH = 64
"""Levels of nesting beyond which an answer is not looked at."""


@dataclass(frozen=True, slots=True)
class Task:
    """One change and the body that brings it about.

    `expected` is what the echo must hold: the sent fields, whole even where only some keys are sent. `removed` are the
    keys that it must not hold any more. `not_before` (UNIX seconds): an earlier request with another body may still
    arrive until then. `again`: an earlier request with this very body has no answer.
    """

    change: Change
    body: Mapping[str, Json]
    expected: Mapping[str, Json] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    set_like: frozenset[str] = frozenset()
    secret: frozenset[str] = frozenset()
    not_before: float = 0.0
    again: bool = False


@dataclass(frozen=True, slots=True)
class Again:
    """Worth another attempt. `sent`: something left this process; `unknown`: it may have taken effect."""

    reason: str
    status: int | None = None
    sent: bool = True
    unknown: bool = True
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class Halt:
    """No device will fare better: the run stops before the next send."""

    error: ApiError | AuthenticationError
    outcome: Rejected


def judge(  # noqa: PLR0911 - one return for each kind of answer
    task: Task, answer: Answer | NotSent | NoAnswer, attempt: int
) -> Outcome | Again | Halt:
    """The outcome that attempt number `attempt` had for the task's device, if it had one."""
    match answer:
        case NotSent(reason):
            return Again(reason, sent=False, unknown=False)
        case NoAnswer(reason):
            return Again(reason)
        case Answer(status, _, retry_after) if status in MAYBE_DONE:
            return Again(_words(task, answer), status, retry_after=retry_after)
        case Answer(status, _, retry_after) if status == REFUSED_FOR_NOW:
            return Again(_words(task, answer), status, unknown=False, retry_after=retry_after)
        case Answer(status) if 200 <= status < 300:  # noqa: PLR2004 - the class of successes
            return _succeeded(task, answer, attempt)
        case Answer(status) if 400 <= status < 500:  # noqa: PLR2004 - the class of client errors
            rejected = Rejected(task.change, status, attempt, tuple(_reasons(task, answer)))
            if status in {UNAUTHORIZED, FORBIDDEN}:
                return Halt(AuthenticationError(f"the server refused the token: {_words(task, answer)}"), rejected)
            return rejected
        case Answer(status) if 300 <= status < 400:  # noqa: PLR2004 - the class of redirects
            error = ApiError(
                f"the server answers with a redirect ({status}), which is never followed; check api.base_url"
            )
            return Halt(error, Rejected(task.change, status, attempt, (("", "redirect"),)))
    return Unknown(task.change, attempt, f"unexpected answer: {_words(task, answer)}")


def _succeeded(task: Task, answer: Answer, attempt: int) -> Outcome:
    echo = _json(answer.body)
    if _says_failure(task, echo):
        return Rejected(task.change, answer.status, attempt, tuple(_reasons(task, answer)))
    if answer.status == SUCCESS:
        return _verified(task, echo, attempt)
    if answer.status in {ACCEPTED, NO_CONTENT}:
        return Accepted(task.change, answer.status, attempt)
    return Unknown(task.change, attempt, f"unexpected answer: {_words(task, answer)}")


def _verified(task: Task, echo: Json, attempt: int) -> Outcome:
    if not isinstance(echo, dict):
        return Unknown(task.change, attempt, "the answer (200) is not a JSON object")
    if echo.get("serial_number") != task.change.serial:
        return Unknown(task.change, attempt, "the answer (200) is not about this serial number")
    found = divergence(
        task.expected or task.body, echo, removed=task.removed, set_like=task.set_like, secret=task.secret
    )
    if found:
        return Divergent(task.change, SUCCESS, attempt, found)
    return Applied(task.change, SUCCESS, attempt)


def _says_failure(task: Task, echo: Json) -> bool:
    """Whether a 2xx takes itself back: some servers answer 200 and put the failure into the body."""
    if not isinstance(echo, dict):
        return False
    about_us = echo.get("serial_number") == task.change.serial  # then `status` is the device's own
    return echo.get("success") is False or (echo.get("status") == "error" and not about_us)


def _words(task: Task, answer: Answer) -> str:
    return f"{answer.status} " + "; ".join(f"{path}: {text}" if path else text for path, text in _reasons(task, answer))


def _reasons(task: Task, answer: Answer) -> Iterator[tuple[str, str]]:
    """What the server says, as (JSON Pointer or "", words), in whichever of the usual shapes it says it."""
    document = _json(answer.body)
    if isinstance(document, dict) and isinstance(document.get("errors"), dict | list):
        document = document["errors"]
    found = list(_messages(document, ()))
    if not found:
        text = re.sub(
            r"<(script|style)\b.*?</\1>|<[^>]*>", " ", answer.body[:4096].decode("utf-8", "replace"), flags=re.DOTALL
        )
        found = [("", " ".join(text.split())[:200] or "no reason given")]
    secrets = _secrets(task)
    for path, text in found[:20]:
        told = any(quotes(text, secret) for secret in secrets) or any(within(path, secret) for secret in task.secret)
        yield path, "(the server's words hold a secret)" if told else text


def _secrets(task: Task) -> set[str]:
    """Every spelling of every value that is a secret, sent now or held before: servers quote what they refuse."""
    values = [get(task.body, pointer) for pointer in task.secret]
    values += [value for item in task.change.fields if item.sensitive for value in (item.before, item.after)]
    return {spelling for value in values for spelling in _spellings(value)}


def _spellings(value: Value) -> Iterator[str]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _spellings(inner)
    elif value is not ABSENT and value is not None and not isinstance(value, bool) and value != "":
        yield value if isinstance(value, str) else json.dumps(value)


def _messages(document: Json, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    match document:
        case str():
            yield join(*path), " ".join(document.split())[:300]
        case list():
            for item in document:
                yield from _messages(item, path)
        case {"field": str(name), "message": str(text)}:
            yield from _messages(text, (*path, *name.split(".")))
        case dict():
            for key, value in document.items():
                yield from _messages(value, path if key in SPEAKING else (*path, key))
        case _:
            return


def _json(body: bytes) -> Json:
    try:
        document: Json = json.loads(body, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    return document if _depth_ok(document) else None


def _refuse(_: str) -> None:
    raise ValueError("not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not a JSON number")
    return number


def _depth_ok(document: Json) -> bool:
    """Whether it is shallow enough for recursive readers; what we send is never deeper than 32."""
    level = [document]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return True
    return False
