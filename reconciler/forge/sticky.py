"""Comments of a pull or merge request that are ours: one for each subject, edited in place."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Note:
    """A comment as it stands."""

    id: int
    author: str
    body: str


@dataclass(frozen=True, slots=True)
class Merged:
    """A pull or merge request that was merged, and the commit that was its head."""

    number: int
    head: str


class Forge(Protocol):
    """What is asked of GitHub and of GitLab. Every method raises ForgeDenied or ForgeError."""

    def me(self) -> str:
        """The name under which the owner of our token comments."""
        ...

    def notes(self, number: int) -> Iterator[Note]:
        """Every comment of a request, oldest first."""
        ...

    def add(self, number: int, body: str) -> None:
        """Comment on a request."""
        ...

    def edit(self, number: int, note: int, body: str) -> None:
        """Replace the text of a comment."""
        ...

    def head(self, number: int) -> str:
        """The commit that is the head of a request now."""
        ...

    def merged(self, commit: str, branch: str) -> tuple[Merged, ...]:
        """The requests by which a commit came into a branch; into any if that is ""."""
        ...

    def plans(self, merged: Merged, artifact: str) -> Iterator[bytes]:
        """The files plan.json that were kept under that name when the head of a request was planned, newest first."""
        ...


def kept(forge: Forge, number: int, marker: str) -> Note | None:
    """Our comment that begins with the line `marker`.

    Ours means: written by us. A marker in somebody else's comment says nothing, nor does one further down.
    """
    me = forge.me()
    for note in forge.notes(number):
        if note.author == me and note.body.splitlines()[:1] == [marker]:
            return note
    return None


def stick(forge: Forge, number: int, marker: str, body: str, *, only_if_there: bool = False) -> None:
    """Have exactly that comment; with `only_if_there`, none if there was none. `body` begins with `marker`."""
    note = kept(forge, number, marker)
    if note is None:
        if not only_if_there:
            forge.add(number, body)
    elif note.body != body:
        forge.edit(number, note.id, body)
