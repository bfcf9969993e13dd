import traceback
from pathlib import Path

import pytest

from reconciler.apply.token import find_token
from reconciler.errors import AuthenticationError
from reconciler.redaction import Token


def found(environ: dict[str, str], root: Path, command: str = "") -> str:
    return find_token(environ, command=command, root=root).header("Bearer")


def test_the_file_wins_over_the_command_and_the_command_over_the_variable(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    variable = {"RECONCILER_TOKEN": "from-variable"}

    assert found(variable | {"RECONCILER_TOKEN_FILE": "token"}, tmp_path, "echo from-command") == "Bearer from-file"
    assert found(variable, tmp_path, "echo from-command") == "Bearer from-command"
    assert found(variable, tmp_path) == "Bearer from-variable"


@pytest.mark.parametrize("text", ["s3cr3t\nX-Evil: 1", "s3cr3t tail", "s3cr3té", "s3cr3t\x00", "\x1b[31ms3cr3t"])
def test_a_malformed_token_is_refused_and_not_echoed(text: str, tmp_path: Path) -> None:
    with pytest.raises(AuthenticationError) as caught:
        found({"RECONCILER_TOKEN": text}, tmp_path)

    assert "s3cr3t" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("environ", "command", "says"),
    [
        ({}, "", "no API token; set"),
        ({"RECONCILER_TOKEN": "  "}, "", "empty"),
        ({"RECONCILER_TOKEN_FILE": "missing"}, "", "missing: No such file"),
        ({"RECONCILER_TOKEN_FILE": "."}, "", "Is a directory"),
        ({}, "false", "exit code 1"),
        ({}, "no-such-command-here", "No such file"),
        ({}, "'unclosed", "quotation"),
    ],
)
def test_a_token_that_cannot_be_had_is_an_error_with_a_reason(
    environ: dict[str, str], command: str, says: str, tmp_path: Path
) -> None:
    with pytest.raises(AuthenticationError, match=says):
        found(environ, tmp_path, command)


def test_a_token_does_not_show_itself() -> None:
    token = Token("s3cr3t")

    assert "s3cr3t" not in f"{token!r} {token} {[token]}"


def test_the_command_runs_in_the_root_without_a_shell(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("here")

    assert found({}, tmp_path, "cat token") == "Bearer here"
    assert found({}, tmp_path, "echo $(id)".replace(" ", "\t")) == "Bearer $(id)"
    assert [file.name for file in tmp_path.iterdir()] == ["token"]
