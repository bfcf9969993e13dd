import re
from urllib.parse import unquote

from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.forge.annotate import annotations
from reconciler.model import Problem, Source

COMMAND = re.compile(r"::error file=([^,:]*),line=([0-9]+),col=([0-9]+),title=([^,:]*)::(.*)")


def test_a_problem_is_an_annotation_on_its_line() -> None:
    problem = Problem("RC405", 'AP-1.vlan is "abc"', "write a number", Source("inventory/a.yaml", 12, 9))

    assert annotations([problem]) == (
        '::error file=inventory/a.yaml,line=12,col=9,title=RC405 wrong type::AP-1.vlan is "abc"%0Afix: write a number'
    )


@given(st.text(), st.text(), st.text())
@example("a%0A::error::b", "x\n::stop-commands::y", "::add-mask::")
@example("a,line=1::", "100 %\r\n", "%25")
def test_nothing_in_a_file_can_begin_or_end_a_workflow_command(file: str, message: str, fix: str) -> None:
    told = annotations([Problem("RC405", message, fix, Source(file, 1, 2))] * 2)

    commands = told.split("\n")
    assert len(commands) == 2
    found = COMMAND.fullmatch(commands[0])
    assert found
    assert commands[0].isprintable()
    if (file + message + fix).isprintable():
        assert unquote(found[1]) == file
        assert unquote(found[5]) == f"{message}\nfix: {fix}"
