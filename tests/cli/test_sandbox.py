"""The `reconciler sandbox` command as a process of its own."""

import json
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import httpx
import pytest
from conftest import COMMAND, Declare, Run, clean_environ

from reconciler.sandbox.kinds import KINDS
from reconciler.sandbox.server import DEFAULT_TOKEN

OTHER = "open-sesame"
Start = Callable[..., "Started"]


class Started:
    """A sandbox command that has announced itself."""

    def __init__(self, process: subprocess.Popen[str], announced: Sequence[str]) -> None:
        self.process = process
        self.announced = "".join(announced)
        self.exports = dict(
            line.split()[1].split("=", 1) for line in announced if line.startswith("  export RECONCILER_")
        )
        self.base_url = self.exports["RECONCILER_BASE_URL"]

    def ask(self, method: str, path: str, *, token: str = DEFAULT_TOKEN, body: bytes = b"") -> httpx.Response:
        with httpx.Client(trust_env=False, headers={"Authorization": f"Bearer {token}"}) as client:
            return client.request(method, httpx.URL(self.base_url).join(path), content=body)

    def stop(self, number: signal.Signals) -> tuple[int, str]:
        """Exit code and stderr. Fails if it goes on for half a minute."""
        self.process.send_signal(number)
        _, stderr = self.process.communicate(timeout=30)
        return self.process.returncode, stderr


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    processes = []

    def starting(*arguments: str | Path, environ: Mapping[str, str] | None = None) -> Started:
        process = subprocess.Popen(
            [COMMAND, *arguments],
            cwd=tmp_path,
            env=clean_environ() | dict(environ or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        processes.append(process)
        assert process.stdout
        announced = [process.stdout.readline() for _ in range(4)]
        return Started(process, announced)

    yield starting
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_what_to_export_serves_and_stops_cleanly(start: Start, number: signal.Signals) -> None:
    sandbox = start("sandbox", "--port", "0")

    answer = sandbox.ask("GET", "/api/v1/inventory_device_serial_operation/")
    code, stderr = sandbox.stop(number)

    assert sandbox.base_url in sandbox.announced.splitlines()[0]
    assert sandbox.exports["RECONCILER_TOKEN"] == DEFAULT_TOKEN
    assert answer.json() == {"count": 0, "results": []}
    assert (code, stderr) == (0, "GET /api/v1/inventory_device_serial_operation/ 200\n")


def test_an_impatient_second_signal_does_not_spoil_the_clean_stop(start: Start) -> None:
    sandbox = start("sandbox", "--port", "0")

    sandbox.process.send_signal(signal.SIGINT)
    code, stderr = sandbox.stop(signal.SIGTERM)

    assert (code, stderr) == (0, "")


def test_it_listens_on_this_machine_only(start: Start) -> None:
    sandbox = start("sandbox", "--port", "0")
    port = httpx.URL(sandbox.base_url).port
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    if not tables[0].exists():
        pytest.skip("no /proc/net/tcp on this system")

    listening = [line.split()[1] for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]

    assert [address for address in listening if address.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]


def test_quiet_keeps_the_requests_to_itself(start: Start) -> None:
    sandbox = start("-q", "sandbox", "--port", "0")

    sandbox.ask("GET", "/api/v1/inventory_device_serial_operation/")

    assert sandbox.stop(signal.SIGTERM)[1] == ""


def test_it_knows_the_devices_of_an_inventory_and_how_to_merge(start: Start, declare: Declare, tmp_path: Path) -> None:
    declare("lobby.yaml", serial_number="AP-1", status="active", configuration={"vlan": 1})
    declare("floor/two.yaml", "devices:\n  - serial_number: AP-2\n")

    sandbox = start("sandbox", "--port", "0", "--seed-inventory", tmp_path / "inventory", "--nested", "merge")
    listed = sandbox.ask("GET", "/api/v1/inventory_device_serial_operation/").json()["results"]
    for body in (b'{"configuration": {"vlan": 2}}', b'{"configuration": {"mtu": 1500}}'):
        answer = sandbox.ask("PUT", "/api/v1/inventory_device_serial_operation/AP-1/", body=body)

    assert [device["serial_number"] for device in listed] == ["AP-1", "AP-2"]
    assert [device["configuration"] for device in listed] == [{}, {}]
    assert answer.json()["configuration"] == {"vlan": 2, "mtu": 1500}
    assert "with 2 devices" in sandbox.announced


def test_an_inventory_with_problems_is_not_served(run: Run, declare: Declare, tmp_path: Path) -> None:
    declare("lobby.yaml", "serial_number: 0123\n")

    ran = run("sandbox", "--port", "0", "--seed-inventory", tmp_path / "inventory")

    assert ran.code == 1
    assert "lobby.yaml:1:16" in ran.stderr


def test_a_database_keeps_the_devices_for_the_next_sandbox(start: Start, declare: Declare, tmp_path: Path) -> None:
    declare("lobby.yaml", serial_number="AP-1")
    first = start("sandbox", "--port", "0", "--seed-inventory", tmp_path / "inventory", "--database", "devices.db")
    first.ask("PUT", "/api/v1/inventory_device_serial_operation/AP-1/", body=b'{"name": "kept"}')
    first.process.kill()
    first.process.wait()

    second = start("sandbox", "--port", "0", "--database", "devices.db")

    assert second.ask("GET", "/api/v1/inventory_device_serial_operation/AP-1/").json()["name"] == "kept"


def test_a_token_of_ones_own_is_the_only_one_that_opens(start: Start) -> None:
    sandbox = start("sandbox", "--port", "0", "--token", OTHER)

    assert sandbox.exports["RECONCILER_TOKEN"] == OTHER
    assert sandbox.ask("GET", "/_sandbox/requests", token=OTHER).status_code == 200
    assert sandbox.ask("GET", "/_sandbox/requests").status_code == 401


def test_a_token_from_the_environment_is_used_and_never_printed(start: Start) -> None:
    sandbox = start("sandbox", "--port", "0", environ={"RECONCILER_TOKEN": OTHER})

    answer = sandbox.ask("PUT", "/api/v1/inventory_device_serial_operation/AP-1/", token=OTHER)

    assert answer.status_code == 404
    assert "RECONCILER_TOKEN is set already" in sandbox.announced
    assert OTHER not in sandbox.announced + sandbox.stop(signal.SIGTERM)[1]


@pytest.mark.parametrize("token", ["", "né", "a\nb", "a\x7fb"])
def test_a_token_that_no_header_can_carry_is_refused_unseen(run: Run, token: str) -> None:
    ran = run("sandbox", "--port", "0", "--token", token)

    assert ran.code == 64
    assert ran.stderr.startswith("error: the token is empty or holds characters")
    assert not token or token not in ran.stderr


def test_a_taken_port_is_named_with_the_way_out(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        ran = run("sandbox", "--port", str(port))

    assert (ran.code, ran.stdout) == (1, "")
    assert ran.stderr == f"error: cannot listen on 127.0.0.1:{port}: Address already in use; try --port 0\n"


def test_a_file_that_is_no_database_is_named_and_left_alone(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a database, and longer than the header of one\n" * 100)
    before = file.read_bytes()

    ran = run("sandbox", "--port", "0", "--database", "notes.txt")

    assert ran.code == 1
    assert ran.stderr == "error: notes.txt: cannot be used as a database: file is not a database; name another file\n"
    assert file.read_bytes() == before


@pytest.mark.parametrize("command", ["sandbox", "demo"])
def test_without_the_extra_the_command_that_helps_is_named(run: Run, tmp_path: Path, command: str) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "uvicorn.py").write_text("raise ModuleNotFoundError(\"No module named 'uvicorn'\", name='uvicorn')\n")

    ran = run(command, environ={"PYTHONPATH": str(hidden)})

    assert (ran.code, ran.stdout) == (1, "")
    assert ran.stderr.endswith("needs uvicorn, which is not installed: pip install 'zequenze-reconciler[sandbox]'\n")


def test_the_log_of_requests_is_served_as_json(start: Start) -> None:
    sandbox = start("sandbox", "--port", "0")
    sandbox.ask("PUT", "/api/v1/inventory_device_serial_operation/AP-1/", body=b'{"name": "x"}')

    served = sandbox.ask("GET", "/_sandbox/requests")

    assert json.loads(served.text) == [
        {
            "method": "PUT",
            "path": "/api/v1/inventory_device_serial_operation/AP-1/",
            "serial": "AP-1",
            "status": 404,
            "body": None,
            "faults": [],
            "committed": False,
        }
    ]


def test_faults_strike_and_are_shown_with_the_requests(start: Start, declare: Declare, tmp_path: Path) -> None:
    declare("lobby.yaml", serial_number="AP-1")
    sandbox = start(
        "sandbox",
        *("--port", "0", "--seed-inventory", tmp_path / "inventory"),
        *("--fault", "latency=uniform(1ms,2ms)", "--fault", "drop-after-commit:x1"),
    )
    path = "/api/v1/inventory_device_serial_operation/AP-1/"

    with pytest.raises(httpx.RemoteProtocolError):
        sandbox.ask("PUT", path, body=b'{"name": "x"}')
    sandbox.ask("PUT", path, body=b'{"name": "y"}')

    assert sandbox.stop(signal.SIGTERM)[1].splitlines() == [
        'PUT AP-1 cut (latency, drop-after-commit; committed) {"name": "x"}',
        'PUT AP-1 200 (latency; committed) {"name": "y"}',
    ]


def test_a_fault_that_makes_no_sense_is_a_usage_error_with_the_way_out(run: Run) -> None:
    ran = run("sandbox", "--port", "0", "--fault", "drop-after-comit:30%")

    assert (ran.code, ran.stdout) == (64, "")
    assert ran.stderr == (
        'error: fault "drop-after-comit:30%": unknown kind "drop-after-comit"; did you mean "drop-after-commit"?;'
        " the form is KIND[=VALUE][:CONDITION,...]; reconciler sandbox --help lists all faults\n"
    )


def test_the_help_lists_every_fault_and_condition(run: Run) -> None:
    ran = run("sandbox", "--help")

    listed = [line.split()[0].split("=")[0].removesuffix("[") for line in ran.stdout.splitlines() if line.strip()]
    assert ran.code == 0
    assert set(KINDS) <= set(listed)
    assert {"30%", "x2", "first", "serial", "seed"} <= set(listed)
