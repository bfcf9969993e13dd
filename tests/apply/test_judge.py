import json
from typing import Any

import pytest
from examples import AP, applied, desired
from hypothesis import given
from hypothesis import strategies as st

from reconciler.apply.answer import Answer, NoAnswer, NotSent
from reconciler.apply.judge import Again, Halt, Task, judge
from reconciler.errors import ApiError, AuthenticationError
from reconciler.model import Accepted, Applied, Divergent, Rejected, Unknown
from reconciler.plan.diff import diff

[CHANGE] = diff(desired({AP: {"status": "active"}}), applied({AP: {"status": "inactive"}}))
TASK = Task(CHANGE, {"status": "active"})


def says(status: int, document: Any = None, **headers: str) -> Any:  # noqa: ANN401 - a verdict or an outcome
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return judge(TASK, Answer(status, body, **headers), 1)


def test_a_matching_echo_is_applied() -> None:
    assert says(200, {"serial_number": AP, "status": "active", "id": 7}) == Applied(CHANGE, 200, 1)


def test_another_value_in_the_echo_is_divergent() -> None:
    assert isinstance(says(200, {"serial_number": AP, "status": "ACTIVE"}), Divergent)


@pytest.mark.parametrize(
    "document",
    [b"", b"<html>", [], None, {}, {"serial_number": "other", "status": "active"}, {"status": "active"}, b"[" * 9999],
)
def test_a_200_that_is_not_about_this_device_proves_nothing(document: Any) -> None:  # noqa: ANN401 - any JSON
    assert isinstance(says(200, document), Unknown)


@pytest.mark.parametrize("status", [202, 204])
def test_an_answer_without_the_result_is_accepted_not_applied(status: int) -> None:
    assert says(status, b"") == Accepted(CHANGE, status, 1)


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_a_server_in_trouble_may_have_done_it_and_is_asked_again(status: int) -> None:
    verdict = says(status, b"", retry_after="7")

    assert (verdict.unknown, verdict.retry_after) == (True, "7")


def test_too_many_requests_is_asked_again_and_did_nothing() -> None:
    assert says(429, {"detail": "slow down"}) == Again("429 slow down", 429, unknown=False)


@pytest.mark.parametrize("status", [201, 206, 501, 599, 100])
def test_an_answer_nobody_expects_proves_nothing(status: int) -> None:
    assert isinstance(says(status, {"serial_number": AP, "status": "active"}), Unknown)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_halts_the_run(status: int) -> None:
    verdict = says(status, {"detail": "Invalid token."})

    assert isinstance(verdict, Halt)
    assert isinstance(verdict.error, AuthenticationError)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_halts_the_run(status: int) -> None:
    verdict = says(status)

    assert isinstance(verdict, Halt)
    assert isinstance(verdict.error, ApiError)


@pytest.mark.parametrize(
    ("document", "reasons"),
    [
        ({"detail": "Not found."}, [("", "Not found.")]),
        ({"status": ["Not a choice.", "Really."]}, [("/status", "Not a choice."), ("/status", "Really.")]),
        ({"errors": {"a": {"b": ["no"]}}}, [("/a/b", "no")]),
        ({"errors": [{"field": "a.b", "message": "no"}]}, [("/a/b", "no")]),
        ({"message": "no", "non_field_errors": ["never"]}, [("", "no"), ("", "never")]),
        ("plain", [("", "plain")]),
        (b"<html><style>x</style><h1>Bad\n Request</h1></html>", [("", "Bad Request")]),
        (b"", [("", "no reason given")]),
        (b"\xff\xfe", [("", "\ufffd\ufffd")]),
        ({"code": 7}, [("", '{"code": 7}')]),
    ],
)
def test_the_reason_is_found_in_whatever_shape_it_comes(document: Any, reasons: list[tuple[str, str]]) -> None:  # noqa: ANN401
    assert says(422, document) == Rejected(CHANGE, 422, 1, tuple(reasons))


def test_no_byte_sent_and_no_answer_are_different_things() -> None:
    assert judge(TASK, NotSent("refused"), 1) == Again("refused", sent=False, unknown=False)
    assert judge(TASK, NoAnswer("timeout"), 1) == Again("timeout", sent=True, unknown=True)


@given(st.integers(100, 599), st.binary(max_size=40) | st.just(b'{"a":' * 200))
def test_any_answer_has_a_verdict(status: int, body: bytes) -> None:
    assert judge(TASK, Answer(status, body), 1) is not None


@pytest.mark.parametrize(
    "document",
    [
        {"success": False, "message": "no"},
        {"status": "error", "message": "no"},
        {"serial_number": AP, "success": False},
    ],
)
@pytest.mark.parametrize("status", [200, 202])
def test_a_success_that_takes_itself_back_is_a_failure(status: int, document: Any) -> None:  # noqa: ANN401 - any JSON
    assert isinstance(says(status, document), Rejected)


def test_a_status_that_is_called_error_and_was_asked_for_is_none() -> None:
    task = Task(CHANGE, {"status": "error"})
    answer = Answer(200, json.dumps({"serial_number": AP, "status": "error"}).encode())

    assert isinstance(judge(task, answer, 1), Applied)


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_a_number_that_json_does_not_know_proves_nothing(number: bytes) -> None:
    body = b'{"serial_number": "AP-0001", "status": "active", "x": ' + number + b"}"

    assert isinstance(says(200, body), Unknown)


def test_a_merged_field_is_compared_whole_though_only_some_keys_were_sent() -> None:
    task = Task(CHANGE, {"c": {"a": 3}}, expected={"c": {"a": 3, "b": 2}})
    replaced = Answer(200, json.dumps({"serial_number": AP, "c": {"a": 3}}).encode())

    assert isinstance(judge(task, replaced, 1), Divergent)


@pytest.mark.parametrize("secret", ["hunter2", 31337, ["hunter2", 31337], {"a": "hunter2"}])
@pytest.mark.parametrize("answer", [{"psk": ["no"]}, {"detail": "hunter2 is weak"}, {"detail": "31337 is too short"}])
def test_words_of_the_server_that_hold_a_secret_are_not_repeated(secret: Any, answer: Any) -> None:  # noqa: ANN401
    task = Task(CHANGE, {"psk": secret}, secret=frozenset({"/psk"}))
    verdict = judge(task, Answer(422, json.dumps(answer).encode()), 1)

    assert isinstance(verdict, Rejected)
    spellings = [text for text in ("hunter2", "31337") if text in json.dumps(secret)]
    assert not any(text in words for text in spellings for _, words in verdict.reasons)
    if "psk" in answer:
        assert verdict.reasons == (("/psk", "(the server's words hold a secret)"),)


def test_a_device_whose_own_status_is_error_is_no_failure() -> None:
    task = Task(CHANGE, {"name": "a"})
    answer = Answer(200, json.dumps({"serial_number": AP, "name": "a", "status": "error"}).encode())

    assert isinstance(judge(task, answer, 1), Applied)
