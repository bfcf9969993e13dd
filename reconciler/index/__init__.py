"""What the last plan knew: `store` says what that is, `file` where it lies."""

from reconciler.index.file import opened
from reconciler.index.store import Index, Indexed

__all__ = ["Index", "Indexed", "opened"]
