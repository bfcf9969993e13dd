"""docs/inventory.md shows what the program does with the files that it shows."""

import os
import re
import subprocess
from pathlib import Path

from conftest import Declare, Run

from reconciler.model import Draft, EntryKind, Holder, Json, Serial
from reconciler.state.sqlite import SqliteBackend

PAGE = (Path(__file__).parents[1] / "docs" / "inventory.md").read_text(encoding="utf-8")
ADA = {
    f"GIT_{who}_{what}": text
    for who in ("AUTHOR", "COMMITTER")
    for what, text in (("NAME", "Ada"), ("EMAIL", "ada@example.com"), ("DATE", "2026-11-20T09:00:00Z"))
}
ALONE = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "PATH": os.environ["PATH"]}


def test_explain_prints_what_the_page_shows(run: Run, declare: Declare, tmp_path: Path) -> None:
    for name, text in re.findall(r"```yaml\n# inventory/(\S+)\n(.*?)```", PAGE, re.DOTALL):
        declare(name, f"# inventory/{name}\n{text}")
    for command in (
        ["init", "-q"],
        ["add", "inventory"],
        ["commit", "-q", "-m", "Move K-0002 away from the radar (#42)"],
    ):
        subprocess.run(["git", "-C", str(tmp_path), *command], env={**ADA, **ALONE}, check=True)
    applied(tmp_path / ".reconciler" / "state.db")
    [(command, shown)] = re.findall(r"begin: explain -->\n```console\n\$ reconciler (.*?)\n(.*?)\n```", PAGE, re.DOTALL)

    ran = run(*command.split(), environ=ALONE)

    assert (ran.code, ran.stderr) == (0, "")
    assert nameless(ran.stdout.rstrip()) == nameless(shown)


def applied(state: Path) -> None:
    backend = SqliteBackend(state)
    lease = backend.acquire(Holder("ci/run-42", "elsewhere", "", 7, ""), ttl=900)

    def entry(kind: EntryKind, serial: Serial | None = None, **data: Json) -> Draft:
        return Draft(kind, "2026-11-19T09:14:02.000Z", "5f0c2a7be913", serial, data)

    body: dict[str, Json] = {"configuration": {"auto_update": True, "channel": 11}}
    fields: list[Json] = [
        {"path": name, "after": value} for name, value in (("/configuration", body["configuration"]),)
    ]
    serial = Serial("K-0002")
    drafts = [
        entry(EntryKind.RUN, by="ci/run-42", commit="3f9c1e0b7a52"),
        entry(EntryKind.INTENT, serial, action="adopt", fields=fields, body=body),
        entry(EntryKind.APPLIED, serial, status=200, attempts=1),
    ]
    backend.append(lease, drafts)
    backend.release(lease)
    backend.close()


def nameless(text: str) -> str:
    """Without what the name of a commit depends on: every other byte of the page's files."""
    return re.sub(r"Ada, [0-9a-f]{12}", "Ada, COMMIT", text)
