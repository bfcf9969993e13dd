"""Who this process is, for leases and the audit trail; and whether a holder on this machine is dead."""

import getpass
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from reconciler.model import Holder
from reconciler.printable import printable


def this_process(environ: Mapping[str, str]) -> Holder:
    """The user and host, or the CI run that `environ` tells of. What the system does not say is left empty."""
    by, url = _ci(environ) or (f"{_user()}@{socket.gethostname()}", "")
    pid = os.getpid()
    return Holder(
        by=printable(by),
        host=printable(socket.gethostname()),
        boot=_boot(),
        pid=pid,
        started=(_stat(pid) or ("", ""))[1],
        url=printable(url),
    )


def is_dead(holder: Holder) -> bool:
    """Whether `holder` is provably gone. False whenever that cannot be known, as for another host."""
    if not holder.boot or (holder.host, holder.boot) != (printable(socket.gethostname()), _boot()):
        return False
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # somebody else's process, or no such number: it is there, or we cannot know
        return False
    found = _stat(holder.pid)
    if found is None:
        return False
    state, started = found
    return state in {"Z", "X"} or (bool(holder.started) and started != holder.started)


def _ci(environ: Mapping[str, str]) -> tuple[str, str] | None:
    get = environ.get
    if get("GITHUB_RUN_ID"):
        repository, run = get("GITHUB_REPOSITORY", ""), environ["GITHUB_RUN_ID"]
        actor = get("GITHUB_TRIGGERING_ACTOR") or get("GITHUB_ACTOR", "")
        url = f"{get('GITHUB_SERVER_URL', 'https://github.com')}/{repository}/actions/runs/{run}"
        return _named(actor, repository, f"run-{run}"), url
    if get("CI_JOB_ID"):
        name = _named(get("GITLAB_USER_LOGIN", ""), get("CI_PROJECT_PATH", ""), f"job-{environ['CI_JOB_ID']}")
        return name, get("CI_JOB_URL", "")
    return None


def _named(actor: str, project: str, run: str) -> str:
    place = f"{project or 'ci'}/{run}"
    return f"{actor} in {place}" if actor else place


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's uid without a name
        return f"uid-{os.getuid()}"


def _boot() -> str:
    """This boot of the machine, and this process namespace of it: containers may share the host, never the pids."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _stat(pid: int) -> tuple[str, str] | None:
    """(state, start time in clock ticks since boot) of a process, as proc(5) numbers them: fields 3 and 22."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes().decode("utf-8", "replace")
    except OSError:
        return None
    state, *rest = text.rpartition(")")[2].split() or [""]  # the name before it may hold anything
    return (state, rest[18]) if rest[18:] else None
