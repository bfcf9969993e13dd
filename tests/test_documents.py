import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import clean_environ

from reconciler.cli import COMMANDS
from reconciler.config import load
from reconciler.config.guards import FreezeTable
from reconciler.plan.guard import RULES
from reconciler.policy import CiSettings, GuardSettings, LifecycleSettings, OnRemovedSettings

ROOT = Path(__file__).parents[1]
POLICIES = (CiSettings, GuardSettings, LifecycleSettings, OnRemovedSettings, FreezeTable)
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_shows_what_the_commands_print() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/readme.py", "--check"],
        cwd=ROOT,
        env=clean_environ(),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_the_readme_lists_the_settings_with_their_defaults(tmp_path: Path) -> None:
    [block] = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "reconciler.toml").write_text(block)
    listed, defaults = load(tmp_path, {}), load(tmp_path.parent, {})

    assert (listed.guard, listed.on_removed, listed.state) == (defaults.guard, defaults.on_removed, defaults.state)
    assert (listed.lifecycle, listed.ci) == (defaults.lifecycle, defaults.ci)
    said = re.findall(r"^(?:# )?(?:\[\[guard\.)?(\w+)(?: = |\]\])", block, re.MULTILINE)
    assert [key for table in POLICIES for key in table.__slots__ if key not in said] == []
    given = {key: getattr(listed.api, key) for key in listed.api.__slots__ if key != "base_url"}
    assert given == {key: getattr(defaults.api, key) for key in given}
    assert [key for key in listed.api.__slots__ if f"\n{key} = " not in block] == []


@pytest.mark.parametrize("document", sorted([ROOT / "README.md", *ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]))
def test_every_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))

    assert [link for link in links if "://" not in link and not (document.parent / link).exists()] == []


def test_the_changelog_names_every_command_and_guard() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert [word for word in (*COMMANDS, *RULES) if f"`{word}" not in changelog] == []
