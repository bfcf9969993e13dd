"""The whole way, as the commands go it, where only its ends can be told apart."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Declare

from reconciler import reconcile
from reconciler.apply.run import Run
from reconciler.config import load
from reconciler.model import Applied, EntryKind
from reconciler.sandbox.server import Sandbox
from reconciler.state.sqlite import SqliteBackend

Interrupted = Callable[[str, EntryKind | None], Run]


@pytest.fixture
def interrupted(declare: Declare, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Interrupted:
    """An apply to one device during which somebody presses Ctrl-C when the state is asked for that."""

    def apply(name: str, kind: EntryKind | None) -> Run:
        sandbox.seed("AP-1")
        declare("a.yaml", serial_number="AP-1", status="active")
        settings = load(tmp_path, sandbox.environ)
        plan, asked = reconcile.plan(settings), getattr(SqliteBackend, name)

        def struck(*given: Any) -> object:  # noqa: ANN401 - as it is
            if kind is None or given[-1][0].kind is kind:
                raise KeyboardInterrupt
            return asked(*given)

        monkeypatch.setattr(SqliteBackend, name, struck)
        return reconcile.apply(settings, plan, sandbox.environ)

    return apply


@pytest.mark.parametrize(("name", "kind"), [("append", EntryKind.ENDED), ("release", None)])
def test_who_interrupts_what_comes_after_a_run_hears_of_every_device_all_the_same(
    interrupted: Interrupted, name: str, kind: EntryKind | None
) -> None:
    run = interrupted(name, kind)

    assert (run.exit_code, [type(outcome) for outcome in run.outcomes]) == (0, [Applied])


def test_who_interrupts_before_anything_is_sent_ends_the_run(interrupted: Interrupted, sandbox: Sandbox) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted("append", EntryKind.RUN)

    assert sandbox.requests() == ()
