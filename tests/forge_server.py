"""A simulated forge on a real socket, 127.0.0.1 only: as much of GitHub and GitLab as `ci` asks for.

    with forge() as hub:
        hub.pull(7, head=SHA)
        run("ci", "plan", environ=hub.environ(7, head=SHA))
        [comment] = hub.comments(7)

Who holds `hub.token` is github-actions[bot] and may write; `hub.reader` may only read. Lists come in pages.
"""

import io
import json
import socket
import threading
import zipfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

BOT = "github-actions[bot]"
PROJECT = "example/fleet"
Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(slots=True)
class Hub:
    """What the forge holds. Everything may be changed between two requests."""

    url: str = ""
    token: str = "ghs-may-write"  # noqa: S105 - opens nothing
    reader: str = "ghs-may-read"
    login: str = BOT
    limited: list[dict[str, str]] = field(default_factory=list)
    """Headers of the 429s that the next requests get."""
    broken: int = 0
    """So many of the next requests get a 502."""
    notes: list[dict[str, Any]] = field(default_factory=list)
    pulls: dict[int, dict[str, Any]] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """(method, path, Authorization) of every request."""

    def pull(self, number: int, *, head: str, base: str = "main") -> None:
        """A pull request that is open."""
        self.pulls[number] = {"number": number, "head": head, "base": base, "merged": None}

    def merge(self, number: int, commit: str) -> None:
        """Merge one, as that commit."""
        self.pulls[number]["merged"] = commit

    def keep(self, file: Path, *, head: str, name: str = "reconciler-plan", expired: bool = False) -> None:
        """What upload-artifact does in a run for that head."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
            opened.write(file, "plan.json")
        number = len(self.runs) + 100
        self.runs.append({"id": number, "head_sha": head, "event": "pull_request"})
        self.artifacts.append(
            {"id": number + 1000, "run": number, "name": name, "expired": expired, "archive": archive.getvalue()}
        )

    def comment(self, number: int, author: str, body: str) -> None:
        """Somebody comments."""
        self.notes.append({"id": len(self.notes) + 1, "number": number, "author": author, "body": body})

    def comments(self, number: int) -> list[str]:
        """The texts of the comments of one."""
        return [note["body"] for note in self.notes if note["number"] == number]

    def environ(self, number: int | None = None, *, head: str, files: Path, token: str | None = None) -> dict[str, str]:
        """The variables of a job: for a pull request, or for a push to main."""
        event = files / "event.json"
        event.write_text(json.dumps({"pull_request": {"number": number, "head": {"sha": head}}} if number else {}))
        return {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": self.url,
            "GITHUB_GRAPHQL_URL": f"{self.url}/graphql",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_OUTPUT": str(files / "output"),
            "GITHUB_REF": f"refs/pull/{number}/merge" if number else "refs/heads/main",
            "GITHUB_REF_NAME": f"{number}/merge" if number else "main",
            "GITHUB_REPOSITORY": PROJECT,
            "GITHUB_RUN_ID": "4711",
            "GITHUB_SERVER_URL": "https://example.com",
            "GITHUB_SHA": head,
            "GITHUB_STEP_SUMMARY": str(files / "summary.md"),
            "GITHUB_TOKEN": self.token if token is None else token,
        }

    def application(self) -> Starlette:
        """GitHub's paths, and GitLab's below /api/v4."""
        hub = f"/repos/{PROJECT}"
        lab = "/api/v4/projects/42"
        return Starlette(
            routes=[
                Route("/graphql", self._known(self._viewer), methods=["POST"]),
                Route(hub + "/issues/{number:int}/comments", self._known(self._comments), methods=["GET", "POST"]),
                Route(hub + "/issues/comments/{note:int}", self._known(self._edit), methods=["PATCH"]),
                Route(hub + "/pulls/{number:int}", self._known(self._pull)),
                Route(hub + "/commits/{commit}/pulls", self._known(self._brought)),
                Route(hub + "/actions/runs", self._known(self._runs)),
                Route(hub + "/actions/runs/{run:int}/artifacts", self._known(self._artifacts)),
                Route(hub + "/actions/artifacts/{artifact:int}/zip", self._known(self._elsewhere)),
                Route("/blob/{artifact:int}", self._blob),
                Route("/api/v4/user", self._known(self._viewer)),
                Route(lab + "/merge_requests/{number:int}/notes", self._known(self._comments), methods=["GET", "POST"]),
                Route(lab + "/merge_requests/{number:int}/notes/{note:int}", self._known(self._edit), methods=["PUT"]),
                Route(lab + "/merge_requests/{number:int}", self._known(self._pull)),
                Route(lab + "/merge_requests/{number:int}/pipelines", self._known(self._pipelines)),
                Route(lab + "/repository/commits/{commit}/merge_requests", self._known(self._brought)),
                Route(lab + "/pipelines/{run:int}/jobs", self._known(self._jobs)),
                Route(lab + "/jobs/{artifact:int}/artifacts/plan.json", self._known(self._plan)),
            ]
        )

    def _known(self, endpoint: Endpoint) -> Endpoint:
        async def checked(request: Request) -> Response:
            given = request.headers.get("authorization", request.headers.get("private-token", ""))
            self.asked.append((request.method, request.url.path, given))
            if self.limited:
                return JSONResponse({"message": "rate limit"}, 429, self.limited.pop(0))
            if self.broken:
                self.broken -= 1
                return JSONResponse({"message": "bad gateway"}, 502)
            token = given.removeprefix("Bearer ")
            if token not in {self.token, self.reader}:
                return JSONResponse({"message": "Bad credentials"}, 401)
            writes = request.method != "GET" and request.url.path != "/graphql"
            if writes and token != self.token:
                return JSONResponse({"message": "Resource not accessible by integration"}, 403)
            return await endpoint(request)

        return checked

    def _paged(self, request: Request, items: list[dict[str, Any]], key: str = "") -> Response:
        """Pages of 100 as asked, so that a test with many comments sees them."""
        size = int(request.query_params.get("per_page", "30"))
        first = (int(request.query_params.get("page", "1")) - 1) * size
        page = items[first : first + size]
        return JSONResponse({"total_count": len(items), key: page} if key else page)

    async def _viewer(self, _request: Request) -> Response:
        return JSONResponse({"data": {"viewer": {"login": self.login}}, "username": self.login})

    async def _comments(self, request: Request) -> Response:
        number = request.path_params["number"]
        if request.method == "POST":
            body = (await request.json())["body"]
            if len(body) > 65_536:
                return JSONResponse({"message": "body is too long"}, 422)
            self.comment(number, self.login, body)
            return JSONResponse({"id": len(self.notes)}, 201)
        found = [
            {
                "id": note["id"],
                "user": {"login": note["author"]},
                "author": {"username": note["author"]},
                "body": note["body"],
            }
            for note in self.notes
            if note["number"] == number
        ]
        return self._paged(request, found)

    async def _edit(self, request: Request) -> Response:
        for note in self.notes:
            if note["id"] == request.path_params["note"]:
                note["body"] = (await request.json())["body"]
                return JSONResponse({"id": note["id"]})
        return JSONResponse({"message": "Not Found"}, 404)

    def _shown(self, pull: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "number": pull["number"],
            "iid": pull["number"],
            "state": "merged" if pull["merged"] else "opened",
            "sha": pull["head"],
            "target_branch": pull["base"],
            "head": {"sha": pull["head"]},
            "base": {"ref": pull["base"]},
            "merged_at": "2026-11-24T12:00:00Z" if pull["merged"] else None,
            "merge_commit_sha": pull["merged"],
        }

    async def _pull(self, request: Request) -> Response:
        pull = self.pulls.get(request.path_params["number"])
        return JSONResponse(self._shown(pull)) if pull else JSONResponse({"message": "Not Found"}, 404)

    async def _brought(self, request: Request) -> Response:
        commit = request.path_params["commit"]
        return self._paged(
            request, [self._shown(pull) for pull in self.pulls.values() if commit in {pull["merged"], pull["head"]}]
        )

    async def _runs(self, request: Request) -> Response:
        head = request.query_params.get("head_sha")
        return self._paged(request, [run for run in self.runs if run["head_sha"] == head], "workflow_runs")

    def _of_run(self, run: int) -> list[dict[str, Any]]:
        return [
            {key: value for key, value in artifact.items() if key not in {"archive", "run"}}
            for artifact in self.artifacts
            if artifact["run"] == run
        ]

    async def _artifacts(self, request: Request) -> Response:
        return self._paged(request, self._of_run(request.path_params["run"]), "artifacts")

    async def _elsewhere(self, request: Request) -> Response:
        where = self.url.replace("127.0.0.1", "localhost")
        return RedirectResponse(f"{where}/blob/{request.path_params['artifact']}?key=k", 302)

    async def _blob(self, request: Request) -> Response:
        self.asked.append((request.method, request.url.path, request.headers.get("authorization", "")))
        return self._file(request.path_params["artifact"])

    def _file(self, number: int) -> Response:
        for artifact in self.artifacts:
            if artifact["id"] == number and not artifact["expired"]:
                return Response(artifact["archive"], media_type="application/zip")
        return JSONResponse({"message": "Gone"}, 410)

    async def _pipelines(self, request: Request) -> Response:
        head = self.pulls[request.path_params["number"]]["head"]
        return self._paged(
            request, [{"id": run["id"], "sha": run["head_sha"]} for run in self.runs if run["head_sha"] == head]
        )

    async def _jobs(self, request: Request) -> Response:
        return self._paged(request, self._of_run(request.path_params["run"]))

    async def _plan(self, request: Request) -> Response:
        for artifact in self.artifacts:
            if artifact["id"] == request.path_params["artifact"]:
                with zipfile.ZipFile(io.BytesIO(artifact["archive"])) as opened:
                    return Response(opened.read("plan.json"), media_type="application/json")
        return JSONResponse({"message": "Not Found"}, 404)


@contextmanager
def forge() -> Iterator[Hub]:
    """A forge in a thread of this process while the block runs."""
    listener = socket.create_server(("127.0.0.1", 0))
    hub = Hub(f"http://127.0.0.1:{listener.getsockname()[1]}")
    server = uvicorn.Server(
        uvicorn.Config(hub.application(), log_config=None, access_log=False, lifespan="off", ws="none")
    )
    thread = threading.Thread(target=server.run, args=([listener],), name="forge", daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
