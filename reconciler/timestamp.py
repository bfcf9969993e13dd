"""Moments as the journal writes them: RFC 3339, UTC, to the millisecond, with a Z. Elsewhere they are UNIX seconds."""

from datetime import UTC, datetime


def stamp(seconds: float) -> str:
    """UNIX seconds as text."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: str) -> float:
    """The inverse of `stamp`. Raises ValueError for anything else."""
    return datetime.fromisoformat(text).timestamp()
