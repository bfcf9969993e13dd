import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import ABSENT
from reconciler.printable import differing, dotted, printable, value, without_commands


@given(st.text())
def test_nothing_invisible_survives(text: str) -> None:
    assert all(unicodedata.category(character)[0] != "C" for character in printable(text))
    assert "\n" not in printable(text)


def test_what_people_write_is_left_alone() -> None:
    for text in ("plain", "Café 東京 · naïve", "emoji 🙂"):
        assert printable(text) == text


def test_a_value_is_spelled_as_json_and_a_long_one_cut() -> None:
    assert value({"a": [1, True, None, "é"]}) == '{"a": [1, true, null, "é"]}'
    assert value(ABSENT) == ""
    assert len(value("x" * 10_000)) < 150
    assert value("x" * 10_000).endswith("(10002 characters)")


def test_two_long_values_are_cut_so_that_their_difference_shows() -> None:
    one, other = "x" * 500 + "A" + "y" * 500, "x" * 500 + "B" + "y" * 500
    left, right = differing(one, other)

    assert left != right
    assert max(len(left), len(right)) < 130
    assert differing({"a": 1}, ABSENT) == ('{"a": 1}', "")
    assert differing(1, 1.0) == ("1", "1.0")


def test_a_path_is_dotted_and_quotes_what_would_mislead() -> None:
    assert dotted("/configuration/a.b/c~1d") == 'configuration."a.b".c/d'
    assert dotted("/configuration/") == 'configuration.""'


commands = st.text(st.sampled_from(":#[ \t\n\r\u2003a]") | st.characters())


@given(commands | st.sampled_from(["::stop-commands::x", "a ##[add-mask]b", "\n \u3000::error::", "####[[", ":::"]))
def test_a_runner_finds_no_command(text: str) -> None:
    """It takes a line, blanks before it aside, that begins with two colons, and `##[` anywhere in one."""
    told = without_commands(text)

    assert not any(line.strip().startswith("::") for line in told.split("\n"))
    assert not any(line.strip().startswith("::") for line in told.split("\r"))
    assert "##[" not in told


@given(st.recursive(commands, st.lists))
def test_json_says_the_same_without_commands(document: object) -> None:
    assert json.loads(without_commands(json.dumps(document, ensure_ascii=False))) == document


def test_what_is_no_command_is_left_alone() -> None:
    for text in ("a::b", "# [x]", "#[x]", "2001:db8::1 and ##", '    ~ name  "::" -> ":"'):
        assert without_commands(text) == text
