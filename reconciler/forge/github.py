"""GitHub: the comments of a pull request, and the plan that was reviewed in it."""

import io
import zipfile
import zlib
from collections.abc import Iterator

from reconciler.errors import ForgeError
from reconciler.forge.http import Http
from reconciler.forge.job import SHA, Job
from reconciler.forge.sticky import Merged, Note

ACTIONS_BOT = "github-actions[bot]"
"""Whose the token of a workflow is. Nobody can sign up under a name with brackets."""
LONGEST_ARCHIVE = 64 << 20
LONGEST_PLAN = 256 << 20


class GitHub:
    """The repository of a job."""

    def __init__(self, job: Job) -> None:
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        if job.token:
            headers["Authorization"] = job.token.header("Bearer")
        self._http = Http(job.api, headers)
        self._repository = f"/repos/{job.project}"
        self._graphql = job.graphql or "/graphql"
        self._me = ""

    def me(self) -> str:
        """Whose the token is, as GraphQL calls the viewer: REST does not tell it to the token of an app."""
        if not self._me:
            self._me = ACTIONS_BOT
            try:
                answer = self._http.known("POST", self._graphql, send={"query": "query { viewer { login } }"})
                login = answer["data"]["viewer"]["login"]
            except (ForgeError, KeyError, TypeError):
                return self._me
            self._me = login if isinstance(login, str) and login else ACTIONS_BOT
        return self._me

    def notes(self, number: int) -> Iterator[Note]:
        """Every comment of a pull request, oldest first."""
        for item in self._http.pages(f"{self._repository}/issues/{number}/comments"):
            match item:
                case {"id": int(note), "user": {"login": str(author)}, "body": str(body)}:
                    yield Note(note, author, body)
                case _:  # of somebody whose account is gone
                    pass

    def add(self, number: int, body: str) -> None:
        """Comment on a pull request."""
        self._http.known("POST", f"{self._repository}/issues/{number}/comments", send={"body": body})

    def edit(self, number: int, note: int, body: str) -> None:  # noqa: ARG002 - GitHub numbers comments by repository
        """Replace the text of a comment."""
        self._http.known("PATCH", f"{self._repository}/issues/comments/{note}", send={"body": body})

    def head(self, number: int) -> str:
        """The commit that is the head of a pull request now."""
        match self._http.known("GET", f"{self._repository}/pulls/{number}"):
            case {"head": {"sha": str(sha)}}:
                return sha
            case _:
                raise ForgeError(f"pull request {number} has no head")

    def merged(self, commit: str, branch: str) -> tuple[Merged, ...]:
        """The pull requests by which a commit came into a branch; the one that ends with that commit first."""
        found = []
        for item in self._http.pages(f"{self._repository}/commits/{commit}/pulls"):
            match item:
                case {"number": int(number), "merged_at": str(), "head": {"sha": str(head)}, "base": {"ref": base}} if (
                    SHA.fullmatch(head) and branch in {"", base}
                ):
                    found.append((item.get("merge_commit_sha") != commit, -number, Merged(number, head)))
                case _:
                    pass
        return tuple(merged for _, _, merged in sorted(found, key=lambda each: each[:2]))

    def plans(self, merged: Merged, artifact: str) -> Iterator[bytes]:
        """The plans in the artifacts of that name, of the runs that GitHub started for the head of a pull request."""
        query = {"head_sha": merged.head, "event": "pull_request"}
        runs = self._http.pages(f"{self._repository}/actions/runs", key="workflow_runs", query=query)
        numbers = [run["id"] for run in runs if isinstance(run.get("id"), int) and run.get("head_sha") == merged.head]
        for number in sorted(numbers, reverse=True):
            path = f"{self._repository}/actions/runs/{number}/artifacts"
            kept = self._http.pages(path, key="artifacts", query={"name": artifact})
            usable = [item["id"] for item in kept if item.get("name") == artifact and item.get("expired") is False]
            for found in sorted(usable, reverse=True):
                archive = self._http.download(f"{self._repository}/actions/artifacts/{found}/zip", LONGEST_ARCHIVE)
                if archive is not None:
                    yield _only_file(archive)


def _only_file(archive: bytes) -> bytes:
    """The file plan.json in a zip. Raises ForgeError if it is not there, or says that it is small and is not."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            if opened.getinfo("plan.json").compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                raise ForgeError("the artifact of the reviewed plan is not compressed as GitHub does it")
            with opened.open("plan.json") as file:
                plan = file.read(LONGEST_PLAN + 1)
    except (
        zipfile.BadZipFile,
        zlib.error,
        KeyError,
        OSError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as error:
        raise ForgeError(f"the artifact of the reviewed plan cannot be read: {error}") from None
    if len(plan) > LONGEST_PLAN:
        raise ForgeError("the artifact of the reviewed plan is too large for a plan")
    return plan
