"""By what an index knows the program that made it."""

import os
import shutil
from pathlib import Path

import pytest

import reconciler
from reconciler.fleet.context import release, sources

PACKAGE = Path(reconciler.__file__).parent


def test_a_program_that_is_installed_anew_elsewhere_is_the_same_program(tmp_path: Path) -> None:
    """As in each job in CI, which is handed the index of the job before."""
    shutil.copytree(PACKAGE, tmp_path / "anew", copy_function=shutil.copyfile)

    assert list(sources(tmp_path / "anew")) == list(sources(PACKAGE))


def test_a_program_of_which_a_letter_changed_is_another_one(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "edited")
    edited = tmp_path / "edited" / "fleet" / "context.py"
    status = edited.stat()
    edited.write_text(edited.read_text().replace("a", "e", 1))
    os.utime(edited, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert len(set(sources(tmp_path / "edited")) ^ set(sources(PACKAGE))) == 2


@pytest.mark.parametrize("installed", ["pyyaml-6.0.3.dist-info", "PyYAML-6.0.egg-info"])
def test_a_library_is_known_by_its_version(installed: str, tmp_path: Path) -> None:
    (tmp_path / "yaml").mkdir()
    (tmp_path / "types_pyyaml-6.0.12.dist-info").mkdir()
    (tmp_path / installed).mkdir()

    assert release(tmp_path / "yaml", "pyyaml") == installed


def test_a_library_that_nobody_installed_is_known_by_when_it_changed(tmp_path: Path) -> None:
    (tmp_path / "yaml").mkdir()
    before = release(tmp_path / "yaml", "pyyaml")
    os.utime(tmp_path / "yaml", ns=(1, 1))

    assert release(tmp_path / "yaml", "pyyaml") != before
