import json

import pytest
from examples import fields
from hypothesis import given

from reconciler.canonical import canonical, sha256
from reconciler.model import Json


@given(fields)
def test_the_spelling_does_not_depend_on_the_order_of_keys_and_can_be_read_back(document: dict[str, Json]) -> None:
    shuffled = dict(reversed(list(document.items())))

    assert canonical(shuffled) == canonical(document)
    assert json.loads(canonical(document)) == document


def test_values_that_python_calls_equal_are_spelled_apart() -> None:
    assert len({canonical(value) for value in (1, 1.0, True, "1")}) == 4


def test_not_a_number_has_no_spelling() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical(float("nan"))


def test_a_lone_surrogate_can_still_be_hashed() -> None:
    assert len(sha256("\ud800")) == 64
