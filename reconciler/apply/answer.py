"""What can come back when a request is sent."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete response. `retry_after` is the header as it came."""

    status: int
    body: bytes
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class NotSent:
    """No byte of the request left: no connection came about."""

    reason: str


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The request, or some of it, left; no complete response came back."""

    reason: str
