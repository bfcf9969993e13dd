"""`make bench` still measures what it says: a word that a command no longer prints makes its run a failure."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import groupby, pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent / "benchmarks"))

import apply
import bench
import commands
import documents
import place
import plans
import plot
import results
import terraform
import work
from measure import Command, Cost

MOMENT = Cost(0.2, 0.25, 40.0)


def figures(devices: int, *, per_file: int = 1, peers: bool = False) -> results.Measured:
    names = [name for name in work.WORK if peers or name not in results.PEERS]
    return results.Measured(
        devices,
        devices // per_file,
        per_file,
        runs=1,
        date="2026-11-24",
        machine="a machine",
        figures={name: replace(MOMENT, cpu=devices / 10_000 * number) for number, name in enumerate(names, start=1)},
        changed={1: MOMENT, 10: MOMENT},
        programs=dict.fromkeys(results.PEERS, "program 1.0") if peers else {},
    )


def test_the_benchmark_of_apply_measures_what_it_says(tmp_path: Path) -> None:
    apply.prepare(tmp_path, 1_000)

    rows = list(apply.measured(tmp_path, 1_000, 1, {"answers at once": 0.0}))

    assert [(kind, count) for _, kind, count, _ in rows] == [
        ("plain", 1_000),
        ("no-journal", 1_000),
        ("apply", 1_000),
        ("httpx", 100),
    ]
    assert min(cost.cpu for *_, cost in rows) > 0


def test_every_command_of_the_benchmark_does_what_it_should(tmp_path: Path) -> None:
    one = bench.measured(tmp_path, 50, 1, runs=1, with_peers=False)

    assert one.figures.keys() == work.WORK.keys() - set(results.PEERS)
    assert list(one.changed) == [1]
    assert min(cost.wall for cost in [*one.figures.values(), *one.changed.values()]) > 0


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> place.Place:
    return place.work_tree(tmp_path_factory.mktemp("lists"), 300, 100)


def test_a_fleet_in_long_lists_is_as_applied_and_a_run_that_says_otherwise_is_a_failure(lists: place.Place) -> None:
    plans.warm(lists)

    assert lists.files == 3
    with pytest.raises(RuntimeError, match="300 devices in 3 files are valid"):
        plans.validate(replace(lists, devices=301))


def test_edited_files_are_as_before_afterwards(lists: place.Place) -> None:
    files = {file: file.read_text() for file in (lists.folder / "inventory").rglob("*.yaml")}

    with place.edited(lists, 2, mark="moved"):
        edited = [file for file, text in files.items() if file.read_text() != text]
        marked = [file.read_text().count("assigned_user: moved@example.com") for file in edited]

    assert marked == [1, 1]
    assert {file: file.read_text() for file in files} == files


def test_a_clone_has_every_file_anew_and_an_index_that_spares_reading_them(lists: place.Place, tmp_path: Path) -> None:
    plans.warm(lists)

    with place.cloned(lists):
        command: Command = [commands.RECONCILER, "--profile", tmp_path / "trace.json", "plan"]
        subprocess.run(command, cwd=lists.folder, env=os.environ | lists.environ(), capture_output=True, check=True)

    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert [event["args"]["total"] for event in events if event["name"] == "read"] == [0]


def test_what_is_not_measured_anew_keeps_its_figures(tmp_path: Path) -> None:
    small, large, lists = figures(1_000, peers=True), figures(10_000), figures(10_000, per_file=1_000)
    again = replace(figures(1_000), date="2026-11-25")
    file = tmp_path / "results.json"

    results.save([small, large, lists], file)
    merged = results.merged(results.load(file), again)

    assert results.load(file) == [small, large, lists]
    assert merged[1:] == [large, lists]
    assert merged[0].date == again.date
    assert merged[0].figures == small.figures
    assert merged[0].programs == small.programs


def test_the_documents_show_the_figures_that_were_measured() -> None:
    fleets = results.load()

    assert [
        file.name for file in documents.DOCUMENTS if documents.filled(file.read_text(), fleets) != file.read_text()
    ] == []
    assert documents.PLOT.read_text() == plot.svg(fleets)


def test_what_apply_missed_is_told_as_missed() -> None:
    def cost(wall: float) -> Cost:
        return Cost(1.0, wall, 50.0)

    once, later = apply.LATENCIES
    rows = [
        (once, "no-journal", 10_000, cost(2.0)),
        (once, "apply", 10_000, cost(2.6)),
        (later, "apply", 10_000, cost(8.0)),
    ]

    assert list(apply.verdicts([*rows, (later, "no-journal", 10_000, cost(8.0))]))[2:] == [
        f"| {once} | ≥ 1,500 devices/s | 3,846 | met |",
        f"| {once} | ≥ 80% of no journal | 77% | **missed** |",
        f"| {later} | ≥ 1,500 devices/s | 1,250 | **missed** |",
    ]


def test_a_table_shows_each_figure_beside_its_floor_and_its_target() -> None:
    costs = {"imports": 0.1, "hash": 0.2, "no-op": 0.5}
    one = replace(figures(1_000), figures={name: replace(MOMENT, cpu=cpu) for name, cpu in costs.items()})

    [plan] = [line for line in documents.every_figure([one]) if line.startswith("| **`plan`, nothing changed** ")]

    assert plan == "| **`plan`, nothing changed** | 0.50 | 0.25 | 40 | 2.5 times hashing | ≤ 0.25 s CPU: **missed** |"


def test_every_target_is_for_work_that_is_measured_and_one_without_figures_is_not_met() -> None:
    told = list(documents.targets([figures(1_000)]))[2:]

    assert {target.work for target in work.TARGETS} <= work.WORK.keys()
    assert len(told) == len(work.TARGETS)
    assert sum("missed" in line for line in told) == sum(target.devices == 1_000 for target in work.TARGETS)
    assert all("not measured yet" in line or "missed" in line for line in told)


def test_the_names_of_lines_in_the_plot_do_not_lie_on_each_other() -> None:
    fleets = [figures(10**power, peers=power < 5) for power in (3, 4, 5)] + [figures(10**5, per_file=1_000)]

    picture = ET.fromstring(plot.svg(fleets))  # noqa: S314 - our own

    names = [text for text in picture.iter("{http://www.w3.org/2000/svg}text") if "name" in text.get("class", "")]
    assert {text.text for text in names} == set(plot.NAMES.values())
    at = sorted((float(text.get("x", "")), float(text.get("y", ""))) for text in names)
    for _, column in groupby(at, key=lambda place: place[0]):
        heights = [y for _, y in column]
        assert all(below - above >= 14.9 for above, below in pairwise(heights))


def test_terraform_is_given_the_same_fleet_and_a_state_that_holds_it(tmp_path: Path) -> None:
    terraform.write(tmp_path, 300)

    state = json.loads((tmp_path / "terraform.tfstate").read_text())
    files = [json.loads(file.read_text()) for file in tmp_path.glob("*.tf.json")]
    declared = {name: item["input"] for file in files for name, item in file["resource"]["terraform_data"].items()}
    assert len(files) == 2
    assert len(declared) == 300
    held = {item["name"]: item["instances"][0]["attributes"]["input"]["value"] for item in state["resources"]}
    assert held == declared


@pytest.mark.skipif(not shutil.which("terraform") and not shutil.which("tofu"), reason="there is no terraform here")
def test_terraform_finds_no_changes_in_it(tmp_path: Path) -> None:
    found = terraform.no_op_plan(tmp_path / "terraform", 5)

    assert found is not None
    assert found[0].startswith(("Terraform v", "OpenTofu v"))


def test_a_peer_that_is_not_installed_is_skipped_with_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert terraform.no_op_plan(tmp_path / "terraform", 5) is None
    assert capsys.readouterr().err == "skipped terraform: neither terraform nor tofu is in PATH\n"
