import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.inventory.files import display
from reconciler.inventory.read import MAX_BYTES, Reading, load, look_closer, read
from reconciler.model import Problem, Source

DEVICE = "serial_number: AP-1\nstatus: active\n"


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    folder = tmp_path / "inventory"
    folder.mkdir()
    return folder


def names(reading: Reading) -> list[str]:
    return [document.file for document in reading.documents]


def told(reading: Reading) -> list[tuple[str, str]]:
    return [(problem.code, problem.source.file) for problem in reading.problems]


def test_files_are_found_at_any_depth_and_in_any_case_and_come_in_order_of_name(inventory: Path) -> None:
    for name in ("b.yaml", "a/z.YML", "a/b/c.Yaml", "C.yml"):
        (inventory / name).parent.mkdir(parents=True, exist_ok=True)
        (inventory / name).write_text(DEVICE)

    reading = read(inventory.parent, inventory, [inventory])

    assert names(reading) == ["inventory/C.yml", "inventory/a/b/c.Yaml", "inventory/a/z.YML", "inventory/b.yaml"]
    assert (reading.problems, reading.files) == ((), 4)


def test_other_files_and_names_that_begin_with_an_underscore_or_a_dot_are_passed_over(inventory: Path) -> None:
    for name in (
        "a.yaml",
        "_defaults.yaml",
        ".hidden.yaml",
        "_drafts/b.yaml",
        ".git/c.yaml",
        "notes.txt",
        "a.yaml.bak",
    ):
        (inventory / name).parent.mkdir(exist_ok=True)
        (inventory / name).write_text(DEVICE)

    assert names(read(inventory.parent, inventory, [inventory])) == ["inventory/a.yaml"]


def test_a_name_that_nearly_ends_as_it_should_is_a_problem_and_one_that_is_let_be_is_not(inventory: Path) -> None:
    for name in ("a.yamll", "b.YAM", "c.ymal", "d.md", "e.yaml.bak", "f.yaml~", "g.json", "h", ".i.yamll", "_j.yamll"):
        (inventory / name).write_text(DEVICE)
    for name in ("k.toml", "l.xml", "m.ml", "n.raml", "o.eyaml", "p.yaml_", "q.yaml", "q.yamll"):
        (inventory / name).write_text(DEVICE)

    problems = read(inventory.parent, inventory, [inventory]).problems

    assert [(problem.code, problem.source.file, problem.fix) for problem in problems if problem.code != "RC102"] == [
        ("RC109", "inventory/a.yamll", "rename it to a.yaml"),
        ("RC109", "inventory/b.YAM", "rename it to b.yaml"),
        ("RC109", "inventory/c.ymal", "rename it to c.yaml"),
    ]


def test_a_layer_with_a_misspelled_name_is_a_problem_unless_it_is_a_copy_of_one_that_is_there(inventory: Path) -> None:
    (inventory / "a.yaml").write_text(DEVICE)
    (inventory / "_default.yaml").write_text("status: active\n")
    (inventory / "below").mkdir()
    for name in ("_defaults.yaml", "_defaults.yaml.bak", "_defaults.yaml~"):
        (inventory / "below" / name).write_text("status: active\n")

    assert told(read(inventory.parent, inventory, [inventory])) == [("RC614", "inventory/_default.yaml")]


def test_an_inventory_below_a_hidden_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "_drafts").mkdir()
    (tmp_path / "_drafts" / "a.yaml").write_text(DEVICE)

    assert names(read(tmp_path, tmp_path / "_drafts", [tmp_path / "_drafts"])) == ["_drafts/a.yaml"]


def test_a_missing_inventory_and_an_empty_one_are_problems(inventory: Path) -> None:
    (inventory / "readme.md").touch()

    reading = read(inventory.parent, inventory, [inventory, inventory.parent / "elsewhere"])

    assert told(reading) == [("RC102", "inventory"), ("RC101", "elsewhere")]


def test_a_file_named_outright_is_read_once_whatever_its_name(inventory: Path) -> None:
    (inventory / "_a.txt").write_text(DEVICE)
    (inventory / "b.yaml").write_text(DEVICE)

    reading = read(
        inventory.parent, inventory, [inventory / "_a.txt", inventory, inventory / "b.yaml", inventory / "_a.txt"]
    )

    assert names(reading) == ["inventory/_a.txt", "inventory/b.yaml"]


def test_links_to_files_of_the_inventory_are_followed_and_all_others_refused(inventory: Path) -> None:
    (inventory / "_shared.yaml").write_text(DEVICE)
    (inventory.parent / "outside.yaml").write_text(DEVICE)
    (inventory.parent / "inventory-2").mkdir()
    (inventory.parent / "inventory-2" / "a.yaml").write_text(DEVICE)
    (inventory / "inside.yaml").symlink_to("_shared.yaml")
    (inventory / "leaves.yaml").symlink_to("../outside.yaml")
    (inventory / "sibling.yaml").symlink_to("../inventory-2/a.yaml")
    (inventory / "dangling.yaml").symlink_to("nowhere.yaml")
    (inventory / "itself.yaml").symlink_to("itself.yaml")
    (inventory / "loop").symlink_to(".")
    (inventory / "folder").symlink_to("../inventory-2")

    reading = read(inventory.parent, inventory, [inventory])

    assert names(reading) == ["inventory/inside.yaml"]
    refused = ["dangling.yaml", "folder", "itself.yaml", "leaves.yaml", "loop", "sibling.yaml"]
    assert told(reading) == [("RC105", f"inventory/{name}") for name in refused]


def test_an_inventory_that_is_itself_a_link_is_read(inventory: Path) -> None:
    (inventory / "a.yaml").write_text(DEVICE)
    (inventory.parent / "link").symlink_to("inventory")

    assert names(read(inventory.parent, inventory, [inventory.parent / "link"])) == ["link/a.yaml"]


@pytest.fixture
def odd_files(inventory: Path) -> Iterator[Path]:
    os.mkfifo(inventory / "pipe.yaml")
    (inventory / "to-pipe.yaml").symlink_to("pipe.yaml")
    (inventory / "to-device.yaml").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(inventory / "socket.yaml"))
        yield inventory


def test_pipes_sockets_and_devices_are_refused_without_waiting(odd_files: Path) -> None:
    assert told(read(odd_files.parent, odd_files, [odd_files])) == [
        ("RC105", "inventory/to-device.yaml"),
        ("RC104", "inventory/pipe.yaml"),
        ("RC104", "inventory/socket.yaml"),
        ("RC104", "inventory/to-pipe.yaml"),
    ]
    assert told(read(odd_files.parent, odd_files, [odd_files / "pipe.yaml", Path("/dev/zero")])) == [
        ("RC104", "/dev/zero"),
        ("RC104", "inventory/pipe.yaml"),
    ]


def test_a_folder_named_like_a_file_is_a_folder(inventory: Path) -> None:
    (inventory / "x.yaml").mkdir()
    (inventory / "x.yaml" / "a.yaml").write_text(DEVICE)

    assert names(read(inventory.parent, inventory, [inventory])) == ["inventory/x.yaml/a.yaml"]


def test_a_file_of_1_mib_is_read_and_a_larger_one_is_not_even_opened_to_its_end(inventory: Path) -> None:
    (inventory / "full.yaml").write_text(DEVICE + "#" * (MAX_BYTES - len(DEVICE)))
    (inventory / "fuller.yaml").write_text(DEVICE + "#" * (MAX_BYTES + 1 - len(DEVICE)))
    with (inventory / "huge.yaml").open("wb") as file:
        file.truncate(2**40)

    reading = read(inventory.parent, inventory, [inventory])

    assert names(reading) == ["inventory/full.yaml"]
    assert told(reading) == [("RC106", "inventory/fuller.yaml"), ("RC106", "inventory/huge.yaml")]
    assert "1,099,511,627,776 bytes" in reading.problems[1].message


def test_what_may_not_be_read_is_a_problem_and_the_rest_is_read(inventory: Path) -> None:
    (inventory / "a.yaml").write_text(DEVICE)
    long_name = "x" * 255

    problem = load(inventory / long_name / long_name, "a.yaml")

    assert isinstance(problem, Problem)
    assert problem.code == "RC103"
    assert "no such file" in problem.message


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux has files that hold more than they say")
def test_a_file_that_holds_more_than_its_status_says_was_written_while_it_was_read() -> None:
    problem = load("/proc/self/status", "a.yaml")

    assert isinstance(problem, Problem)
    assert (problem.code, problem.message) == ("RC103", "the file changed while it was read")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_permissions_are_respected_and_told(inventory: Path) -> None:
    (inventory / "a.yaml").write_text(DEVICE)
    (inventory / "a.yaml").chmod(0)
    (inventory / "closed").mkdir(mode=0)

    assert told(read(inventory.parent, inventory, [inventory])) == [
        ("RC103", "inventory/closed"),
        ("RC103", "inventory/a.yaml"),
    ]


@pytest.mark.parametrize(
    "text", ["\ufeff" + DEVICE, DEVICE.replace("\n", "\r\n"), "\ufeff" + DEVICE.replace("\n", "\r\n")]
)
def test_a_byte_order_mark_and_crlf_change_nothing(inventory: Path, text: str) -> None:
    (inventory / "a.yaml").write_bytes(text.encode())

    [document] = read(inventory.parent, inventory, [inventory]).documents

    assert document.value == {"serial_number": "AP-1", "status": "active"}


@pytest.mark.parametrize(
    ("data", "line", "column", "excerpt"),
    [
        (b"a: 1\nb: caf\xe9 x\nc: 2\n", 2, 7, "b: caf\ufffd x"),
        (b"\xef\xbb\xbfn: \xc3\xa9\xff", 1, 5, "\ufeffn: é\ufffd"),
        (b"a: \xe2\x82", 1, 4, "a: \ufffd"),
        (b"a: \xed\xa0\x80\r\n", 1, 4, "a: \ufffd\ufffd\ufffd"),
        (b"\xff\xfea\0", 1, 1, ""),
    ],
)
def test_text_that_is_not_utf_8_is_refused_at_its_place(
    inventory: Path, data: bytes, line: int, column: int, excerpt: str
) -> None:
    (inventory / "a.yaml").write_bytes(data)

    [problem] = read(inventory.parent, inventory, [inventory]).problems

    assert (problem.code, problem.source) == ("RC107", Source("inventory/a.yaml", line, column))
    assert problem.excerpt == excerpt


def test_names_are_printable_whatever_they_are(tmp_path: Path) -> None:
    hostile = Path(os.fsdecode(b"a\n::error::\x1b[31m\xff\xe2\x80\xae.yaml"))

    assert display(tmp_path, tmp_path / "x" / hostile) == "x/a\\n::error::\\x1b[31m\\xff\\u202e.yaml"
    assert display(tmp_path, Path("/elsewhere/a.yaml")) == "/elsewhere/a.yaml"
    assert display(tmp_path, f"{tmp_path}/./x//../a.yaml") == "a.yaml"
    assert display(tmp_path, f"{tmp_path}//a.yaml") == "a.yaml"
    assert display(Path("/"), "/x/a.yaml") == "x/a.yaml"
    assert display(tmp_path, tmp_path.with_name(tmp_path.name + "x")) == f"{tmp_path}x"


def test_a_file_with_a_hostile_name_is_read(inventory: Path) -> None:
    (inventory / os.fsdecode(b"\xff\n.yaml")).write_text(DEVICE)

    assert names(read(inventory.parent, inventory, [inventory])) == ["inventory/\\xff\\n.yaml"]


def test_the_places_of_single_fields_are_looked_up_when_a_plan_asks(inventory: Path) -> None:
    file = inventory / "a.yaml"
    file.write_text("serial_number: AP-1\nconfiguration:\n  vlan: 5\n")

    places = look_closer(file, "inventory/a.yaml").values

    assert places["/configuration/vlan"] == (3, 9)
    file.unlink()
    assert look_closer(file, "inventory/a.yaml").values.keys() <= {""}
