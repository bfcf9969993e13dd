import subprocess
import sys
from pathlib import Path

import pytest
from journal_drafts import holder

from reconciler.errors import ConfigError, LineageMismatch, StateMissing
from reconciler.model import Snapshot
from reconciler.state.open import check_lineage, open_state

URL = "sqlite:.reconciler/state.db"


def test_a_relative_path_starts_from_the_root(tmp_path: Path) -> None:
    open_state(URL, tmp_path).acquire(holder(), ttl=90)

    assert (tmp_path / ".reconciler" / "state.db").is_file()


def test_an_absolute_path_is_itself(tmp_path: Path) -> None:
    open_state(f"sqlite:{tmp_path}/s.db", Path("/nowhere")).acquire(holder(), ttl=90)

    assert (tmp_path / "s.db").is_file()


@pytest.mark.parametrize("url", ["gti:state", "sqlite", "sqlite:", "", ".reconciler/state.db", "SQLITE:x"])
def test_an_unknown_scheme_is_an_error_that_lists_the_known_ones(url: str, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^state is '.*known here: sqlite:PATH, such as sqlite:\.reconciler/state\.db"
    ):
        open_state(url, tmp_path)


@pytest.mark.parametrize(
    ("place", "named"),
    [
        ("--upload-pack=x:state", "--upload-pack=x"),
        ("https://evil.example/x:state", "https://evil.example/x"),
        ("origin:", ""),
        (":state", ""),
        ("a b", "a b"),
        ("state..x", "state..x"),
        ("-state", "-state"),
        ("state.lock", "state.lock"),
        ("/state", "/state"),
    ],
)
def test_a_git_state_takes_plain_names_and_neither_options_nor_addresses(
    place: str, named: str, tmp_path: Path
) -> None:
    with pytest.raises(
        ConfigError, match=f"{named!r} cannot be a branch, or the name of a remote, .* git:REMOTE:BRANCH"
    ):
        open_state(f"git:{place}", tmp_path)


def test_a_misspelled_scheme_is_recognised(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean sqlite:"):
        open_state("sqlit:state.db", tmp_path)


def test_a_state_of_the_lineage_that_is_configured_or_of_none_is_fine() -> None:
    check_lineage(Snapshot(), "", URL)
    check_lineage(Snapshot(lineage="a"), "", URL)
    check_lineage(Snapshot(lineage="a"), "a", URL)


def test_a_state_that_must_be_there_and_is_not_is_a_hard_stop() -> None:
    with pytest.raises(StateMissing, match=f"no state at {URL}, but the settings say lineage = 'a'; restore it"):
        check_lineage(Snapshot(), "a", URL)


def test_a_state_of_another_lineage_is_a_hard_stop() -> None:
    with pytest.raises(LineageMismatch, match=f"the state at {URL} is of lineage b, but the settings say a"):
        check_lineage(Snapshot(lineage="b"), "a", URL)


def test_a_backend_is_imported_when_it_is_asked_for() -> None:
    program = "import sys, reconciler.state.open; print('sqlite3' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"
