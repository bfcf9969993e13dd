"""`make bench` still measures what it says: a word that a command no longer prints makes its run a failure."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


def test_the_benchmark_of_apply_measures_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    import apply

    apply.prepare(tmp_path, 1_000)

    rows = list(apply.measured(tmp_path, 1_000, 1, {"answers at once": 0.0}))

    assert [(kind, count) for _, kind, count, _ in rows] == [
        ("plain", 1_000),
        ("no-journal", 1_000),
        ("apply", 1_000),
        ("httpx", 100),
    ]
    assert min(cost.cpu for *_, cost in rows) > 0


def test_our_own_commands_of_the_benchmark_do_what_they_should(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    import bench
    import fleet

    fleet.write(tmp_path / "inventory", 1_000)
    (tmp_path / "reconciler.toml").write_text(bench.SETTINGS)

    rows = list(bench.ours(tmp_path, 1_000, 1))

    assert len(rows) == 5
    assert min(cost.cpu for _, cost in rows) > 0
