"""A new serial number in the text of a file, and nothing else changed."""

# ruff: noqa: E501 - tables of texts, one line each

import pytest

from reconciler.inventory.replacing import replaced


@pytest.mark.parametrize(
    ("text", "where", "expected"),
    [
        ("serial_number: OLD\n", "", "serial_number: NEW\n$replaces: OLD\n"),
        ("serial_number: OLD", "", "serial_number: NEW\n$replaces: OLD"),
        ("# c\nname: OLD\nserial_number:   'OLD' # mine\n\nx: 1\n", "", "# c\nname: OLD\nserial_number:   'NEW' # mine\n$replaces: OLD\n\nx: 1\n"),
        ("\ufeffserial_number: OLD\r\nname: x\r\n", "", "\ufeffserial_number: NEW\r\n$replaces: OLD\r\nname: x\r\n"),
        ("devices:\n- serial_number: A\n-   serial_number: OLD\n    name: x\n", "/devices/1", "devices:\n- serial_number: A\n-   serial_number: NEW\n    $replaces: OLD\n    name: x\n"),
        ("devices: [{serial_number: A}, {name: x, serial_number: OLD}]\n", "/devices/1", "devices: [{serial_number: A}, {name: x, serial_number: NEW, $replaces: OLD}]\n"),
        ('{"serial_number": "OLD",\n "name": "x"}', "", '{"serial_number": "NEW", $replaces: OLD,\n "name": "x"}'),
        ("{serial_number: OLD, $replaces: OLDEST}", "", "{serial_number: NEW, $replaces: OLD}"),
        ("serial_number: OLD\n$replaces: OLDER # once\n", "", "serial_number: NEW\n$replaces: OLD # once\n"),
    ],
)  # fmt: skip
def test_comments_order_quotes_and_line_ends_stay(text: str, where: str, expected: str) -> None:
    assert replaced(text, where, "OLD", "NEW", replaces="OLD") == expected


def test_a_serial_number_that_reads_as_a_number_gets_quotes_in_both_places() -> None:
    assert (
        replaced('serial_number: "0123"\n', "", "0123", "456", replaces="0123")
        == 'serial_number: "456"\n$replaces: "0123"\n'
    )
    assert replaced("serial_number: A1\n", "", "A1", "1e5", replaces="A1") == 'serial_number: "1e5"\n$replaces: A1\n'


@pytest.mark.parametrize(
    "text", ['serial_number: "O\\x4cD"\n', "serial_number: >-\n  OLD\n", "serial_number:\n  OLD\n"]
)
def test_what_cannot_be_changed_in_place_is_left_to_people_or_done_right(text: str) -> None:
    try:
        result = replaced(text, "", "OLD", "NEW", replaces="OLD")
    except ValueError:
        return
    assert result == "serial_number:\n  NEW\n$replaces: OLD\n"
