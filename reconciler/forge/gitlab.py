"""GitLab: the notes of a merge request, the report of code quality, and the plan that was reviewed."""

import json
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Literal

from reconciler.errors import ForgeError
from reconciler.forge.http import Http
from reconciler.forge.job import SHA, Job
from reconciler.forge.sticky import Merged, Note
from reconciler.model import Json, Source
from reconciler.printable import printable

LONGEST_PLAN = 256 << 20


def quality(found: Sequence[tuple[Source, str, str]], *, severity: Literal["info", "minor", "major"]) -> str:
    """A code quality report of (place, text, name of the check): GitLab shows it beside the lines, as plain text."""
    report: list[Json] = [
        {
            "description": " · ".join(map(printable, text.split("\n"))),
            "check_name": name,
            "fingerprint": sha256(f"{place.file}\0{place.line}\0{text}".encode("utf-8", "replace")).hexdigest(),
            "severity": severity,
            "location": {"path": printable(place.file), "lines": {"begin": place.line}},
        }
        for place, text, name in found
    ]
    return json.dumps(report, indent=2) + "\n"


class GitLab:
    """The project of a job."""

    def __init__(self, job: Job) -> None:
        headers = {"PRIVATE-TOKEN": job.token.header("").strip()} if job.token else {}
        self._http = Http(job.api, headers)
        self._project = f"/projects/{job.project}"
        self._me = ""

    def me(self) -> str:
        """Whose the token is."""
        if not self._me:
            match self._http.known("GET", "/user"):
                case {"username": str(name)} if name:
                    self._me = name
                case _:
                    raise ForgeError("the owner of the token has no name")
        return self._me

    def notes(self, number: int) -> Iterator[Note]:
        """Every note of a merge request, oldest first."""
        query = {"sort": "asc", "order_by": "created_at"}
        for item in self._http.pages(f"{self._project}/merge_requests/{number}/notes", query=query):
            match item:
                case {"id": int(note), "author": {"username": str(author)}, "body": str(body)}:
                    yield Note(note, author, body)
                case _:
                    pass

    def add(self, number: int, body: str) -> None:
        """Write a note in a merge request."""
        self._http.known("POST", f"{self._project}/merge_requests/{number}/notes", send={"body": body})

    def edit(self, number: int, note: int, body: str) -> None:
        """Replace the text of a note."""
        self._http.known("PUT", f"{self._project}/merge_requests/{number}/notes/{note}", send={"body": body})

    def head(self, number: int) -> str:
        """The commit that is the head of a merge request now."""
        match self._http.known("GET", f"{self._project}/merge_requests/{number}"):
            case {"sha": str(sha)}:
                return sha
            case _:
                raise ForgeError(f"merge request {number} has no head")

    def merged(self, commit: str, branch: str) -> tuple[Merged, ...]:
        """The merge requests by which a commit came into a branch."""
        found = []
        for item in self._http.pages(f"{self._project}/repository/commits/{commit}/merge_requests"):
            match item:
                case {"iid": int(number), "state": "merged", "sha": str(head), "target_branch": target} if (
                    SHA.fullmatch(head) and branch in {"", target}
                ):
                    found.append(Merged(number, head))
                case _:
                    pass
        return tuple(sorted(found, key=lambda merged: -merged.number))

    def plans(self, merged: Merged, artifact: str) -> Iterator[bytes]:
        """The plans that jobs of that name kept, of the pipelines for the head of a merge request."""
        pipelines = self._http.pages(f"{self._project}/merge_requests/{merged.number}/pipelines")
        numbers = [
            item["id"] for item in pipelines if isinstance(item.get("id"), int) and item.get("sha") == merged.head
        ]
        for number in sorted(numbers, reverse=True):
            jobs = self._http.pages(f"{self._project}/pipelines/{number}/jobs")
            ids = [job["id"] for job in jobs if job.get("name") == artifact and isinstance(job.get("id"), int)]
            for job in sorted(ids, reverse=True):
                plan = self._http.download(f"{self._project}/jobs/{job}/artifacts/plan.json", LONGEST_PLAN)
                if plan is not None:
                    yield plan
