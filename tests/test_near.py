import pytest

from reconciler.near import near

KNOWN = ["AP-00001", "AP-01000", "LT-00000", "AP-00000", "AP-0100"]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("ap-00000", "AP-00000"),
        ("AP-0000", "AP-00000"),
        ("ap-01", "AP-0100"),
        ("AP-10000", "AP-01000"),
        ("XT-00000", "LT-00000"),
        ("nothing like it", None),
        ("", None),
    ],
)
def test_what_was_meant_differs_in_case_or_begins_so_or_is_spelled_alike(word: str, meant: str | None) -> None:
    assert near(word, KNOWN) == meant
