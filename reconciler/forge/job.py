"""What a job of GitHub Actions or GitLab CI knows about itself, from its environment."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from reconciler.errors import Usage
from reconciler.redaction import Token

SHA = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_URL = re.compile(r"https?://[A-Za-z0-9._:/~-]{1,500}")


@dataclass(frozen=True, slots=True)
class Job:
    """One job. `project` is OWNER/NAME, or GitLab's number; `number` that of the pull or merge request it runs for.

    `commit` is what the forge says is checked out, `head` the commit that was pushed: in a pull request not the same.
    `url` leads to the run, and is "" where it could be anything but that. `checkout` is where the repository is: paths
    of annotations begin there. What there is no file or folder for is None. `again`: it ran before, as far as the forge
    tells; GitLab does not.
    """

    forge: Literal["github", "gitlab"]
    project: str
    api: str
    token: Token | None
    commit: str
    head: str
    branch: str = ""
    number: int | None = None
    url: str = ""
    summary: Path | None = None
    output: Path | None = None
    graphql: str = ""
    checkout: Path | None = None
    again: bool = False


def job_of(environ: Mapping[str, str]) -> Job:
    """The job that this process is. Raises Usage, saying which variable is missing or wrong."""
    if environ.get("GITHUB_ACTIONS") == "true":
        return _github(environ)
    if environ.get("GITLAB_CI") == "true":
        return _gitlab(environ)
    raise Usage(
        "this is no job of GitHub Actions or GitLab CI: neither GITHUB_ACTIONS nor GITLAB_CI is true;"
        " outside of one, use: reconciler plan, reconciler apply --reviewed FILE"
    )


def _github(environ: Mapping[str, str]) -> Job:
    project = _matching(environ, "GITHUB_REPOSITORY", r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")
    commit = _matching(environ, "GITHUB_SHA", SHA.pattern)
    pull = _event(environ).get("pull_request")
    pull = pull if isinstance(pull, dict) else {}
    head, number = _text(pull.get("head"), "sha"), pull.get("number")
    reference = re.fullmatch(r"refs/pull/([0-9]{1,9})/\w+", environ.get("GITHUB_REF", ""))
    if not isinstance(number, int):
        number = int(reference[1]) if reference else None
    server, run = environ.get("GITHUB_SERVER_URL", "https://github.com"), environ.get("GITHUB_RUN_ID", "")
    return Job(
        forge="github",
        project=project,
        api=environ.get("GITHUB_API_URL") or "https://api.github.com",
        graphql=environ.get("GITHUB_GRAPHQL_URL", ""),
        token=_token(environ, "GITHUB_TOKEN"),
        commit=commit,
        head=head if SHA.fullmatch(head) else commit,
        branch=environ.get("GITHUB_REF_NAME", ""),
        number=number,
        url=_url(f"{server}/{project}/actions/runs/{run}") if run.isdecimal() else "",
        summary=_path(environ, "GITHUB_STEP_SUMMARY"),
        output=_path(environ, "GITHUB_OUTPUT"),
        checkout=_path(environ, "GITHUB_WORKSPACE"),
        again=environ.get("GITHUB_RUN_ATTEMPT", "1") != "1",
    )


def _gitlab(environ: Mapping[str, str]) -> Job:
    number = environ.get("CI_MERGE_REQUEST_IID", "")
    commit = _matching(environ, "CI_COMMIT_SHA", SHA.pattern)
    head = environ.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", "")
    return Job(
        forge="gitlab",
        project=_matching(environ, "CI_PROJECT_ID", "[0-9]{1,18}"),
        api=_matching(environ, "CI_API_V4_URL", ".+"),
        token=_token(environ, "GITLAB_TOKEN"),
        commit=commit,
        head=head if SHA.fullmatch(head) else commit,
        branch=environ.get("CI_COMMIT_BRANCH", ""),
        number=int(number) if re.fullmatch("[0-9]{1,9}", number) else None,
        url=_url(environ.get("CI_JOB_URL", "")),
        checkout=_path(environ, "CI_PROJECT_DIR"),
    )


def _matching(environ: Mapping[str, str], variable: str, pattern: str) -> str:
    value = environ.get(variable, "")
    if not re.fullmatch(pattern, value):
        raise Usage(f"{variable} is {'not set' if not value else 'not what it should be'}; the job sets it by itself")
    return value


def _event(environ: Mapping[str, str]) -> dict[str, Any]:
    """What set the run off; nothing where the forge did not leave it."""
    path = environ.get("GITHUB_EVENT_PATH")
    if not path:
        return {}
    try:
        event = json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError):
        raise Usage("GITHUB_EVENT_PATH does not lead to a JSON file; the job sets it by itself") from None
    return event if isinstance(event, dict) else {}


def _text(item: Any, key: str) -> str:  # noqa: ANN401 - whatever the event holds
    found = item.get(key) if isinstance(item, dict) else None
    return found if isinstance(found, str) else ""


def _token(environ: Mapping[str, str], variable: str) -> Token | None:
    text = environ.get(variable, "").strip()
    return Token(text) if text and all("!" <= character <= "~" for character in text) else None


def _path(environ: Mapping[str, str], variable: str) -> Path | None:
    return Path(environ[variable]) if environ.get(variable) else None


def _url(text: str) -> str:
    return text if _URL.fullmatch(text) else ""
