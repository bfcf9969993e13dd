"""How guards speak of devices."""

from collections.abc import Sequence

from reconciler.model import Serial

NAMED = 3
"""So many serials read well."""


def devices(count: int) -> str:
    """`1 device`, `9,812 devices`."""
    return f"{count:,} device{'s' if count != 1 else ''}"


def named(serials: Sequence[Serial], most: int = NAMED) -> str:
    """The first few, and how many more."""
    more = len(serials) - most
    return ", ".join(serials[:most]) + (f" and {more:,} more" if more > 0 else "")
