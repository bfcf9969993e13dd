"""Nothing that reaches a person or a log holds the token, and machines can read every line."""

import io
import json
from base64 import b64encode
from urllib.parse import quote

import pytest
from conftest import Declare, Run

from reconciler.cli.streams import Stderr
from reconciler.redaction import Token
from reconciler.sandbox.server import Sandbox

TOKEN = "s3cr3t/t0ken+"  # noqa: S105 - an example


@pytest.mark.parametrize("form", [TOKEN, quote(TOKEN, safe=""), b64encode(TOKEN.encode()).decode()])
@pytest.mark.parametrize("as_json", [True, False])
def test_every_form_of_the_token_is_taken_out(form: str, as_json: bool) -> None:  # noqa: FBT001 - given
    Token(TOKEN)
    behind = io.StringIO()
    stderr = Stderr(behind)
    stderr.as_json = as_json
    stderr.write(f"sending {form} now\n")
    stderr.finish()

    assert form.rstrip("=") not in behind.getvalue()
    assert "sending (token)" in behind.getvalue()


def test_a_line_is_one_json_object_however_it_is_written() -> None:
    behind = io.StringIO()
    stderr = Stderr(behind)
    stderr.as_json = True
    for piece in ("first ", "line\nsec", "ond\n\n", "\x1b[31mred\x1b[0m rest"):
        stderr.write(piece)
    stderr.finish()

    lines = [json.loads(line) for line in behind.getvalue().splitlines()]
    assert [line["message"] for line in lines] == ["first line", "second", "red rest"]
    assert all(line["at"].endswith("Z") for line in lines)


def test_a_run_can_be_followed_by_a_machine(declare: Declare, run: Run, sandbox: Sandbox) -> None:
    sandbox.seed("AP-1")
    declare("a.yaml", serial_number="AP-1", status="active")
    declare("b.yaml", serial_number="AP-2", status="active")
    ran = run("-v", "--log-format", "json", "apply", "--auto-approve", environ=sandbox.environ)

    messages = [json.loads(line)["message"] for line in ran.stderr.splitlines()]
    assert sum(message.startswith(("PUT AP-1  200", "PUT AP-2  404")) for message in messages) == 2


def test_an_error_is_a_json_line_too(run: Run) -> None:
    ran = run("--log-format", "json", "plan")

    assert ran.code == 1
    assert all(json.loads(line)["message"] for line in ran.stderr.splitlines())


def test_stderr_says_no_to_bytes_like_any_text_stream() -> None:
    with pytest.raises(TypeError):
        Stderr(io.StringIO()).write(b"")  # type: ignore[arg-type]  # what click asks to know the kind of stream


def test_an_error_after_the_token_is_known_reads_like_any_other(declare: Declare, run: Run) -> None:
    declare("a.yaml", serial_number="AP-1", status="active")
    ran = run("apply", "--auto-approve", environ={"RECONCILER_BASE_URL": "http://127.0.0.1:9", "RECONCILER_TOKEN": ""})

    assert (ran.code, ran.stderr.startswith("error: no API token")) == (4, True)
