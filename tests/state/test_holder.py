import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.state.holder import is_dead, this_process

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


def test_by_hand_the_holder_is_the_user_on_this_host() -> None:
    me = this_process({})

    assert me.by.endswith(f"@{me.host}")
    assert len(me.by) > len(me.host) + 1
    assert (me.pid, me.url) == (os.getpid(), "")


def test_on_github_the_holder_is_whoever_started_the_run() -> None:
    environ = {
        "GITHUB_RUN_ID": "42",
        "GITHUB_REPOSITORY": "acme/fleet",
        "GITHUB_ACTOR": "author",
        "GITHUB_TRIGGERING_ACTOR": "octocat",
        "GITHUB_SERVER_URL": "https://forge.example",
    }

    me = this_process(environ)

    assert me.by == "octocat in acme/fleet/run-42"
    assert me.url == "https://forge.example/acme/fleet/actions/runs/42"


def test_on_gitlab_the_holder_is_whoever_started_the_job() -> None:
    environ = {
        "CI_JOB_ID": "99",
        "CI_PROJECT_PATH": "acme/fleet",
        "GITLAB_USER_LOGIN": "alice",
        "CI_JOB_URL": "https://forge.example/acme/fleet/-/jobs/99",
    }

    me = this_process(environ)

    assert (me.by, me.url) == ("alice in acme/fleet/job-99", environ["CI_JOB_URL"])


def test_a_ci_that_says_little_is_still_a_ci() -> None:
    assert this_process({"CI_JOB_ID": "99"}).by == "ci/job-99"


def test_what_ci_variables_contain_reaches_no_terminal_raw() -> None:
    assert this_process({"CI_JOB_ID": "9\x1b[2J\u202e\n"}).by == "ci/job-9\\u001b[2J\\u202e\\u000a"


def test_this_process_is_alive() -> None:
    me = this_process({})

    assert me.started
    assert not is_dead(me)


def test_a_process_that_ended_is_dead_and_so_is_one_that_nobody_buried() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        started = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[19]
        other = replace(this_process({}), pid=child.pid, started=started)
        assert not is_dead(other)

        child.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert is_dead(other)
    assert child.returncode == -signal.SIGKILL
    assert is_dead(other)


def test_a_stopped_process_is_not_dead() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        other = replace(this_process({}), pid=child.pid, started="")
        child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        assert not is_dead(other)
        child.kill()


def test_a_process_number_that_was_given_to_another_process_is_dead() -> None:
    assert is_dead(replace(this_process({}), started="1"))


@pytest.mark.parametrize(
    ("host", "boot"), [("elsewhere", None), (None, "an earlier boot"), (None, "")], ids=["host", "boot", "unknown boot"]
)
def test_of_a_process_that_cannot_be_seen_from_here_nobody_knows_that_it_is_dead(
    host: str | None, boot: str | None
) -> None:
    nobody = replace(this_process({}), started="1")
    assert is_dead(nobody)

    unseen = replace(nobody, host=host or nobody.host, boot=nobody.boot if boot is None else boot)
    assert not is_dead(unseen)
    assert not is_dead(replace(unseen, pid=2**22 + 1))


def test_a_process_name_may_hold_anything(tmp_path: Path) -> None:
    program = tmp_path / "a) Z 1 ("
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "60"]) as child:
        other = replace(this_process({}), pid=child.pid, started="")
        try:
            assert not is_dead(other)
        finally:
            child.kill()
