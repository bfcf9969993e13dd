"""State in git beyond the contract: every kind of clone and remote, what must stay untouched, and what goes wrong."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import clean_environ
from git_places import bare, cloned, commits, git, hook, over_http
from journal_drafts import AP, LAPTOP, Clock, applied, draft, holder, intent, rejected

from reconciler.errors import LeaseLost, StateCorrupt, StateError, StateTooNew, StateUnreachable
from reconciler.model import EntryKind, Lease
from reconciler.state.fold import fold
from reconciler.state.git import GitBackend
from reconciler.state.git_command import Git
from reconciler.state.git_repository import Repository
from reconciler.state.open import open_state

BRANCH = "reconciler-state"
URL = f"git:{BRANCH}"
ADOPTION = [draft(EntryKind.RUN, None, by="alice@there"), intent(name="Lobby"), applied()]


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """A remote with two commits on main."""
    remote = bare(tmp_path / "remote.git")
    first = cloned(tmp_path / "first", remote)
    for text in ("one", "two"):
        (first / "file").write_text(text)
        git(first, "add", "file")
        git(first, "-c", "user.name=T", "-c", "user.email=t@t", "commit", "--quiet", "--message", text)
    git(first, "push", "--quiet", "origin", "HEAD:main")
    return remote


@pytest.fixture
def clone(remote: Path, tmp_path: Path) -> Path:
    return cloned(tmp_path / "clone", remote)


def backend(clone: Path, *, remote: str = "origin", note: Callable[[str], None] | None = None) -> GitBackend:
    return GitBackend(Repository(clone, remote, BRANCH), now=Clock(), note=note, patience=0.0)


def taken(backend: GitBackend) -> Lease:
    return backend.acquire(holder(), ttl=90)


def written(clone: Path) -> GitBackend:
    """A state with one device, and nobody at it."""
    state = backend(clone)
    lease = taken(state)
    state.append(lease, ADOPTION)
    state.release(lease)
    return state


# --- every kind of clone ---------------------------------------------------------------------------------------------


def whole(folder: Path, remote: Path) -> Path:
    return cloned(folder, remote)


def shallow(folder: Path, remote: Path) -> Path:
    return cloned(folder, remote.as_uri(), "--depth=1")


def detached(folder: Path, remote: Path) -> Path:
    git(cloned(folder, remote), "checkout", "--quiet", "--detach", "HEAD^")
    return folder


def worktree(folder: Path, remote: Path) -> Path:
    git(cloned(folder.with_name("main"), remote), "worktree", "add", "--quiet", str(folder), "-b", "side")
    return folder


def like_actions_checkout(folder: Path, remote: Path) -> Path:
    """One commit of one ref, with a refspec on the command line only; HEAD detached, as for a pull request."""
    git(folder.parent, "init", "--quiet", str(folder))
    git(folder, "remote", "add", "origin", remote.as_uri())
    git(folder, "fetch", "--quiet", "--no-tags", "--depth=1", "origin", "+main:refs/remotes/pull/1/merge")
    git(folder, "checkout", "--quiet", "--force", "refs/remotes/pull/1/merge")
    return folder


def partial(folder: Path, remote: Path) -> Path:
    git(remote, "config", "uploadpack.allowFilter", "true")
    return cloned(folder, remote.as_uri(), "--filter=blob:none")


def folder_inside(folder: Path, remote: Path) -> Path:
    (cloned(folder, remote) / "fleet").mkdir()
    return folder / "fleet"


CLONES = [whole, shallow, detached, worktree, like_actions_checkout, partial, folder_inside]


@pytest.mark.parametrize("make", CLONES)
def test_every_kind_of_clone_reads_and_writes_and_only_the_state_branch_moves(
    make: Callable[[Path, Path], Path], remote: Path, clone: Path, tmp_path: Path
) -> None:
    written(clone)
    work = make(tmp_path / "work", remote)
    (work / "half done").write_text("not committed")
    (work / "staged").write_text("staged")
    git(work, "add", "staged")

    def standing() -> list[str]:
        asked = ("status --porcelain", "symbolic-ref -q HEAD", "rev-parse HEAD", "branch", "tag", "config --list")
        index = Path(git(work, "rev-parse", "--absolute-git-dir")) / "index"
        said = [
            subprocess.run(["git", *ask.split()], cwd=work, capture_output=True, text=True, check=False).stdout
            for ask in asked
        ]
        fetch_head = index.with_name("FETCH_HEAD")
        files = [index.read_bytes().hex(), fetch_head.read_text() if fetch_head.exists() else ""]
        return [*said, *files, git(work, "rev-parse", "--is-shallow-repository")]

    before = standing()
    state = backend(work)
    assert state.read().devices.keys() == {AP}
    lease = taken(state)
    assert state.append(lease, [intent(LAPTOP, name="Desk"), applied(LAPTOP)]) == 2
    state.release(lease)

    assert standing() == before
    assert git(remote, "for-each-ref", "--format=%(refname)").splitlines() == [
        "refs/heads/main",
        f"refs/heads/{BRANCH}",
    ]
    assert backend(clone).read().devices.keys() == {AP, LAPTOP}
    assert backend(work).verify() == 5


def test_in_a_shallow_clone_only_the_newest_commit_is_fetched(remote: Path, clone: Path, tmp_path: Path) -> None:
    written(clone)
    work = shallow(tmp_path / "work", remote)
    backend(work).read()

    assert git(work, "rev-list", "--count", f"refs/reconciler/origin/{BRANCH}") == "1"
    assert len(commits(remote)) > 1


def test_two_clones_take_turns(remote: Path, clone: Path, tmp_path: Path) -> None:
    one, other = backend(clone), backend(shallow(tmp_path / "work", remote))
    for turn in range(6):
        state = (one, other)[turn % 2]
        lease = taken(state)
        assert state.append(lease, [intent(turn=turn), applied()]) == turn + 1
        state.release(lease)

    assert one.verify() == other.verify() == 12


def test_processes_that_read_one_clone_at_once_do_not_trip_over_each_other(clone: Path, tmp_path: Path) -> None:
    written(clone)
    work = shallow(tmp_path / "work", clone)
    git(work, "remote", "set-url", "origin", git(clone, "remote", "get-url", "origin"))
    program = (
        "import sys; from pathlib import Path; from reconciler.state.open import open_state;"
        "print([len(open_state(sys.argv[1], Path.cwd()).read().devices) for _ in range(3)])"
    )
    readers = [
        subprocess.Popen([sys.executable, "-c", program, URL], cwd=work, stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]

    assert [reader.communicate()[0] for reader in readers] == ["[1, 1, 1]\n"] * 6


# --- every kind of remote --------------------------------------------------------------------------------------------


def test_a_remote_over_http_works(remote: Path, clone: Path) -> None:
    with over_http(remote.parent) as address:
        git(clone, "remote", "set-url", "origin", f"{address}/remote.git")
        written(clone)
        assert backend(clone).verify() == 3

    assert commits(remote)[-1].startswith("Give lease")


def test_a_remote_over_ssh_works(remote: Path, clone: Path, tmp_path: Path) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\necho "$@" >> "$0.log"\nfor last; do :; done\nexec sh -c "$last"\n')
    ssh.chmod(0o755)
    git(clone, "config", "core.sshCommand", str(ssh))
    git(clone, "remote", "set-url", "origin", f"ssh://git@forge.example{remote}")
    written(clone)

    assert "git@forge.example git-receive-pack" in Path(f"{ssh}.log").read_text()
    assert backend(clone).verify() == 3


def test_another_remote_than_origin_can_be_named(remote: Path, clone: Path, tmp_path: Path) -> None:
    elsewhere = bare(tmp_path / "elsewhere.git")
    git(clone, "remote", "add", "up/stream", str(elsewhere))
    state = open_state("git:up/stream:fleet/state", clone)
    state.acquire(holder(), ttl=90)

    assert git(elsewhere, "for-each-ref", "--format=%(refname)") == "refs/heads/fleet/state"
    assert BRANCH not in git(remote, "for-each-ref")


def test_a_hook_of_the_user_that_points_elsewhere_is_not_followed(clone: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from reconciler.state.open import open_state;"
        "from reconciler.state.holder import this_process;"
        "print(open_state(sys.argv[1], Path.cwd()).acquire(this_process({}), ttl=9).epoch)"
    )
    elsewhere = {"GIT_DIR": "/nowhere", "GIT_WORK_TREE": "/nowhere", "GIT_INDEX_FILE": "/nowhere/index"}
    done = subprocess.run(
        [sys.executable, "-c", program, URL],
        cwd=clone,
        env={**clean_environ(), **elsewhere, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("1\n", "")


def test_a_pre_push_hook_of_the_user_does_not_run(clone: Path) -> None:
    hook(clone / ".git", "pre-push", "exit 1")

    assert taken(backend(clone)).epoch == 1


# --- what readers of the branch see ----------------------------------------------------------------------------------


def test_the_log_of_the_branch_says_what_happened_device_by_device(remote: Path, clone: Path) -> None:
    state = backend(clone)
    lease = taken(state)
    state.append(lease, ADOPTION)
    state.append(lease, [intent(name="Hall"), rejected(), intent(LAPTOP, name="Desk")])
    state.unlock(lease.id, by="bob@here", at="2025-11-23T09:14:00.000Z", force=True)

    assert commits(remote) == [
        f"Unlock: bob@here takes lease {lease.id} from alice@there",
        "Run run-1: 2 intent, 1 rejected",
        "Run run-1: run, 1 intent, 1 applied",
        f"Give lease {lease.id} to alice@there",
    ]
    body = git(remote, "log", "-1", "--format=%an <%ae>%n%b", f"{BRANCH}^")
    assert body.startswith("reconciler <reconciler@localhost>\nintent AP-0001\nrejected AP-0001\nintent ABC123456789\n")


def test_a_change_of_one_device_is_one_changed_line_of_the_snapshot(remote: Path, clone: Path) -> None:
    state = written(clone)
    lease = taken(state)
    state.append(lease, [intent(name="Hall"), applied()])

    changes = git(remote, "log", "-1", "--patch", "--format=", "--unified=0", BRANCH, "--", "snapshot").splitlines()
    assert [line for line in changes if line[0] in "+-" and line[:3] not in {"+++", "---"}] == [
        '-{"serial": "AP-0001", "fields": {"name": "Lobby"}}',
        '+{"serial": "AP-0001", "fields": {"name": "Hall"}}',
    ]


def test_a_long_journal_is_cut_into_files_that_are_never_written_again(remote: Path, clone: Path) -> None:
    state = backend(clone)
    lease = taken(state)
    for start in range(0, 400, 100):
        state.append(lease, [draft(EntryKind.RUN, None, pad="x" * 2000, number=start + n) for n in range(100)])
    first, second, third, fourth = git(remote, "ls-tree", "--name-only", f"{BRANCH}:journal").splitlines()

    assert first == "000000001.jsonl"
    assert git(remote, "log", "--format=%h", BRANCH, "--", f"journal/{first}").count("\n") == 1, (
        "two appends reached it"
    )
    assert [entry.seq for entry in state.entries(after=int(second[:9]) - 1)] == list(range(int(second[:9]), 401))
    assert third < fourth
    assert state.verify() == 400


# --- the lease -------------------------------------------------------------------------------------------------------


def test_an_append_renews_the_lease_so_that_no_push_is_needed_for_it(remote: Path, clone: Path) -> None:
    clock = Clock()
    state = GitBackend(Repository(clone, "origin", BRANCH), now=clock)
    lease = taken(state)
    clock.seconds += 60
    state.append(lease, ADOPTION)
    clock.seconds += 14
    count = len(commits(remote))

    assert state.renew(lease, ttl=90).expires == clock.seconds - 14 + 90
    assert len(commits(remote)) == count

    clock.seconds += 15
    assert state.renew(lease, ttl=90).expires == clock.seconds + 90
    assert len(commits(remote)) == count + 1


def test_clients_that_write_the_very_same_thing_do_not_both_win(clone: Path) -> None:
    one, other = Repository(clone, "origin", BRANCH), Repository(clone, "origin", BRANCH)
    commits = [client.commit(None, {"state.json": b"{}"}, "the same", at=0.0) for client in (one, other)]

    assert [one.push(commits[0], over=None), other.push(commits[1], over=None)] == [True, False]


# --- pushes that go wrong --------------------------------------------------------------------------------------------

LOSE_ONE_ANSWER = 'if [ -e "$GIT_DIR/armed" ]; then rm "$GIT_DIR/armed"; {first}kill -9 $PPID; fi'


def test_a_push_whose_answer_is_lost_is_recognised_as_our_own(remote: Path, clone: Path) -> None:
    state = backend(clone)
    lease = taken(state)
    hook(remote, "post-receive", LOSE_ONE_ANSWER.format(first=""))
    (remote / "armed").touch()

    assert state.append(lease, ADOPTION) == 1
    assert not (remote / "armed").exists(), "the fault did not strike"
    assert state.append(lease, [intent(name="Hall")]) == 2
    assert backend(clone).verify() == 4
    assert [line for line in commits(remote) if line.startswith("Run")] == [
        "Run run-1: 1 intent",
        "Run run-1: run, 1 intent, 1 applied",
    ]


def test_a_lease_whose_answer_is_lost_is_ours(remote: Path, clone: Path) -> None:
    hook(remote, "post-receive", LOSE_ONE_ANSWER.format(first=""))
    (remote / "armed").touch()
    state = backend(clone)
    lease = taken(state)

    assert not (remote / "armed").exists(), "the fault did not strike"
    assert state.lease() == lease


def test_our_own_push_is_recognised_even_below_what_another_wrote_on_top(
    remote: Path, clone: Path, tmp_path: Path
) -> None:
    state = backend(clone)
    lease = taken(state)
    program = (
        "import sys; from pathlib import Path; from reconciler.state.open import open_state;"
        f"open_state({URL!r}, Path({str(cloned(tmp_path / 'other', remote))!r}))"
        f".unlock({lease.id!r}, by='bob', at='2025-11-23T09:14:00.000Z', force=True)"
    )
    (tmp_path / "unlock.py").write_text(program)
    hook(remote, "post-receive", LOSE_ONE_ANSWER.format(first=f"{sys.executable} {tmp_path}/unlock.py || exit 9; "))
    (remote / "armed").touch()

    assert state.append(lease, ADOPTION) == 1
    assert commits(remote)[0].startswith("Unlock: bob"), "the fault did not strike"
    with pytest.raises(LeaseLost, match="was taken away"):
        state.append(lease, [intent(name="Hall")])
    assert state.verify() == 4


def test_a_push_that_the_remote_forbids_is_told_from_one_that_came_second(remote: Path, clone: Path) -> None:
    state = backend(clone)
    lease = taken(state)
    hook(remote, "pre-receive", "echo 'GH006: Protected branch update failed'; exit 1")

    with pytest.raises(StateError, match=r"reconciler-state of origin may not be written: .*GH006.*contents: write"):
        state.append(lease, ADOPTION)
    assert state.head().seq == 0


def test_a_remote_that_is_away_for_a_moment_is_waited_for(remote: Path, clone: Path) -> None:
    state = GitBackend(Repository(clone, "origin", BRANCH), patience=30.0)
    lease = state.acquire(holder(), ttl=90)
    away = remote.rename(remote.with_name("away.git"))
    back = threading.Timer(0.7, lambda: away.rename(remote))
    back.start()

    assert state.append(lease, ADOPTION) == 1
    back.join()
    assert state.verify() == 3


def test_a_state_that_somebody_removed_is_an_error_and_does_not_begin_anew(remote: Path, clone: Path) -> None:
    state = backend(clone)
    lease = taken(state)
    git(remote, "update-ref", "-d", f"refs/heads/{BRANCH}")

    for attempt in (lambda: state.append(lease, ADOPTION), lambda: state.renew(lease, ttl=900)):
        with pytest.raises(StateError, match="branch reconciler-state of origin is gone"):
            attempt()
    with pytest.raises(StateError, match="is gone now, and was of revision 0") as raised:
        state.read()
    assert BRANCH not in git(remote, "for-each-ref")

    git(clone, *str(raised.value).rpartition(": git ")[2].split())
    assert state.read().lineage == ""


def test_a_state_that_somebody_began_anew_is_not_taken_for_the_one_that_was_here(
    remote: Path, clone: Path, tmp_path: Path
) -> None:
    state = backend(clone)
    taken(state)
    before = state.head().lineage
    git(remote, "update-ref", "-d", f"refs/heads/{BRANCH}")
    taken(backend(cloned(tmp_path / "other", remote)))

    for _ in range(2):
        with pytest.raises(
            StateError, match=f"lineage (?!{before}).* now, and was of revision 0 of {before}"
        ) as raised:
            state.read()
    git(clone, *re.split("in every clone: git ", str(raised.value))[1].split())
    assert state.head().lineage not in {"", before}


def test_an_interrupt_that_comes_as_git_ends_is_an_interrupt(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    communicate = subprocess.Popen.communicate

    def struck(child: "subprocess.Popen[bytes]", *given: Any, **more: Any) -> None:  # noqa: ANN401 - as it is
        communicate(child, *given, **more)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "communicate", struck)

    with pytest.raises(KeyboardInterrupt):
        Git(clone).ask("--version")


def test_a_client_that_is_killed_in_the_middle_of_a_push_leaves_a_whole_state(remote: Path, clone: Path) -> None:
    written(clone)
    os.mkfifo(remote / "gate")
    hook(remote, "pre-receive", f'echo reached > "{remote}/gate"; exec cat "{remote}/gate" > /dev/null')
    program = (
        "import sys; from pathlib import Path; from reconciler.state.open import open_state;"
        "from reconciler.state.holder import this_process;"
        "open_state(sys.argv[1], Path.cwd()).acquire(this_process({}), ttl=9000)"
    )
    with subprocess.Popen([sys.executable, "-c", program, URL], cwd=clone) as killed:
        assert (remote / "gate").read_text() == "reached\n"
        killed.kill()
    (remote / "gate").write_text("go on")
    hook(remote, "pre-receive", "exit 0")
    state = GitBackend(Repository(clone, "origin", BRANCH))
    lease = state.acquire(holder(), ttl=90)

    assert state.append(lease, [intent(name="Hall")]) == 2
    assert state.read().devices == fold(state.entries())
    assert state.verify() == 4


# --- a remote that does not answer -----------------------------------------------------------------------------------


def test_without_the_remote_the_state_is_read_as_last_fetched_if_somebody_can_be_told(
    remote: Path, clone: Path
) -> None:
    written(clone)
    remote.rename(remote.with_name("away.git"))
    told: list[str] = []

    assert backend(clone, note=told.append).read().devices.keys() == {AP}
    assert len(told) == 1
    assert "cannot be reached: fatal: " in told[0]
    assert told[0].endswith("read as last fetched: revision 1, written 2025-11-23T09:14:00.000Z")
    with pytest.raises(StateUnreachable, match="branch reconciler-state of origin cannot be reached"):
        backend(clone).read()
    with pytest.raises(StateUnreachable):
        taken(backend(clone, note=told.append))


def test_a_state_that_was_never_fetched_is_not_taken_for_one_that_does_not_exist(remote: Path, clone: Path) -> None:
    remote.rename(remote.with_name("away.git"))

    with pytest.raises(StateUnreachable):
        backend(clone, note=lambda _: None).read()


def test_a_token_in_the_address_of_the_remote_is_in_no_message(clone: Path) -> None:
    git(clone, "remote", "set-url", "origin", "http://user:hunter2@127.0.0.1:1/remote.git")

    with pytest.raises(StateUnreachable) as error:
        backend(clone).read()
    assert "127.0.0.1" in str(error.value)
    assert "hunter2" not in str(error.value)


# --- what is not a state ---------------------------------------------------------------------------------------------


def test_a_folder_outside_of_any_repository_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=f"{tmp_path} is not in a git repository .*not a git repository"):
        backend(tmp_path).read()


def test_a_remote_that_is_not_configured_is_named_with_the_way_out(clone: Path) -> None:
    with pytest.raises(
        StateError, match=r"no remote 'upstream' here; `git remote add upstream URL`.*git:REMOTE:BRANCH"
    ):
        backend(clone, remote="upstream").read()


def test_a_machine_without_git_is_told_so(clone: Path) -> None:
    program = (
        "from pathlib import Path; from reconciler.state.open import open_state; open_state('git:s', Path()).read()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=clone, env={"PATH": ""}, capture_output=True, text=True, check=False
    )

    assert "StateError: git is not installed, or not on PATH" in done.stderr


def test_a_lock_that_another_git_left_behind_is_named(remote: Path, clone: Path, tmp_path: Path) -> None:
    written(clone)
    work = shallow(tmp_path / "work", remote)
    (work / ".git" / "shallow.lock").touch()

    with pytest.raises(StateError, match=r"keeps this repository locked: .*shallow\.lock.*remove the file"):
        backend(work).read()


def test_a_branch_that_holds_something_else_is_refused_and_left_alone(remote: Path, clone: Path) -> None:
    state = GitBackend(Repository(clone, "origin", "main"))
    before = git(remote, "rev-parse", "main")

    for attempt in (state.read, lambda: state.acquire(holder(), ttl=90), state.verify):
        with pytest.raises(StateCorrupt, match=r"branch main of origin is damaged: it has no state\.json"):
            attempt()
    assert git(remote, "rev-parse", "main") == before


def edited(clone: Path, path: str, change: Callable[[str], str | None]) -> None:
    """Somebody checks the branch out, edits a file (None: removes it), commits and pushes."""
    git(clone, "fetch", "--quiet", "origin")
    git(clone, "checkout", "--quiet", "-B", "edit", f"origin/{BRANCH}")
    [file] = clone.glob(path)
    text = change(file.read_text())
    file.unlink() if text is None else file.write_text(text)
    git(clone, "add", "--all")
    git(clone, "-c", "user.name=T", "-c", "user.email=t@t", "commit", "--quiet", "--message", "by hand")
    git(clone, "push", "--quiet", "origin", f"HEAD:{BRANCH}")


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("snapshot/*/*.jsonl", lambda text: text.replace("Lobby", "Hall")),
        ("snapshot/*/*.jsonl", lambda _: None),
        ("snapshot/*/*.jsonl", lambda text: text * 2),
        ("journal/*.jsonl", lambda text: text.replace("Lobby", "Hall")),
        ("journal/*.jsonl", lambda text: text[: text.index("\n") + 1]),
        ("journal/*.jsonl", lambda _: None),
        ("state.json", lambda text: text.replace('"revision": 1', '"revision": 2')),
        ("state.json", lambda text: text[:40]),
        ("state.json", lambda _: "[]"),
        ("state.json", lambda _: None),
        ("lease.json", lambda text: text.replace('"epoch": 1', '"epoch": 0')),
        ("lease.json", lambda _: None),
    ],
)
def test_what_somebody_edits_by_hand_is_found_before_it_is_used(
    path: str, change: Callable[[str], str | None], clone: Path, tmp_path: Path, remote: Path
) -> None:
    state = written(clone)
    edited(cloned(tmp_path / "editor", remote), path, change)

    with pytest.raises(StateCorrupt, match="branch reconciler-state of origin is damaged: "):
        state.read()
    with pytest.raises(StateCorrupt, match=r"Restore it from a backup; see docs/state\.md"):
        state.append(taken(state), [intent(name="Desk")])
    assert commits(remote)[1 if "Give" in commits(remote)[0] else 0] == "by hand"


def test_a_file_that_somebody_adds_beside_the_state_stays(clone: Path, remote: Path, tmp_path: Path) -> None:
    state = written(clone)
    editor = cloned(tmp_path / "editor", remote)
    git(editor, "checkout", "--quiet", BRANCH)
    (editor / "README.md").write_text("Written by the reconciler.")
    edited(editor, "README.md", lambda text: text)
    state.append(taken(state), [intent(name="Desk")])

    assert "README.md" in git(remote, "ls-tree", "--name-only", BRANCH)
    assert state.verify() == 4


def test_a_state_of_a_newer_program_is_refused(clone: Path, remote: Path, tmp_path: Path) -> None:
    state = written(clone)
    edited(cloned(tmp_path / "editor", remote), "state.json", lambda text: text.replace('"format": 1', '"format": 2'))

    for attempt in (state.read, lambda: taken(state)):
        with pytest.raises(StateTooNew, match="has state format 2, this program knows up to 1"):
            attempt()


def test_an_older_commit_that_is_pushed_over_the_branch_is_refused_where_a_newer_one_was_seen(
    clone: Path, remote: Path, tmp_path: Path
) -> None:
    state = written(clone)
    backup = git(remote, "rev-parse", BRANCH)
    lease = taken(state)
    state.append(lease, [intent(LAPTOP, name="Desk"), applied(LAPTOP)])
    git(remote, "update-ref", f"refs/heads/{BRANCH}", backup)

    for attempt in (lambda: state.append(lease, [intent(name="Desk")]), state.read, state.read, state.verify):
        with pytest.raises(StateError, match="is of revision 1 now, and was of revision 2") as raised:
            attempt()
    elsewhere = backend(whole(tmp_path / "elsewhere", remote))
    assert (set(elsewhere.read().devices), elsewhere.verify()) == ({AP}, 3)

    git(clone, *str(raised.value).partition("put it back: git ")[2].partition(";")[0].split())
    assert state.read().devices.keys() == {AP, LAPTOP}


def test_a_history_that_is_cut_off_leaves_the_state_and_its_whole_journal(clone: Path, remote: Path) -> None:
    state = written(clone)
    user = ("-c", "user.name=T", "-c", "user.email=t@t")
    cut = git(remote, *user, "commit-tree", "-m", "Cut the history", f"{BRANCH}^{{tree}}")
    git(remote, "update-ref", f"refs/heads/{BRANCH}", cut)
    lease = taken(state)

    assert state.append(lease, [intent(name="Hall")]) == 2
    assert len(commits(remote)) == 3
    assert state.verify() == 4
