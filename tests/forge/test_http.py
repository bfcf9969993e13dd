"""The door to a forge: where the token goes, how much is read, and when it is asked again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from forge_server import Hub, forge

from reconciler.errors import ForgeDenied, ForgeError
from reconciler.forge.http import Http


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with forge() as running:
        running.pull(7, head="a" * 40)
        (tmp_path / "plan.json").write_text("x" * 5000)
        running.keep(tmp_path / "plan.json", head="a" * 40)
        yield running


def door(hub: Hub, waits: list[float] | None = None) -> Http:
    return Http(hub.url, {"Authorization": f"Bearer {hub.token}"}, sleep=(waits if waits is not None else []).append)


PULL = "/repos/example/fleet/pulls/7"


@pytest.mark.parametrize("url", ["http://example.com", "ftp://127.0.0.1", "https://user@example.com", "nonsense", ""])
def test_a_token_is_sent_over_https_or_to_this_machine(url: str) -> None:
    with pytest.raises(ForgeError, match="expected https"):
        Http(url, {})


def test_a_token_goes_to_no_other_origin(hub: Hub) -> None:
    with pytest.raises(ForgeError, match="is not where the token belongs"):
        door(hub).ask("GET", hub.url.replace("127.0.0.1", "localhost") + PULL)
    assert hub.asked == []


def test_a_limit_is_waited_for_if_it_is_short(hub: Hub) -> None:
    waits: list[float] = []
    hub.limited = [{"Retry-After": "2"}]
    assert door(hub, waits).known("GET", PULL)["number"] == 7
    assert waits == [2.0]
    hub.limited = [{"Retry-After": "3600"}]
    assert door(hub, waits).ask("GET", PULL).status == 429
    assert waits == [2.0]


def test_what_might_be_done_twice_is_not_tried_again(hub: Hub) -> None:
    waits: list[float] = []
    hub.broken = 1
    assert door(hub, waits).ask("POST", "/repos/example/fleet/issues/7/comments", send={"body": "x"}).status == 502
    assert (waits, hub.comments(7)) == ([], [])
    hub.broken = 2
    assert door(hub, waits).ask("GET", PULL).ok
    assert len(waits) == 2


def test_a_file_comes_without_the_token_and_not_without_end(hub: Hub) -> None:
    path = f"/repos/example/fleet/actions/artifacts/{hub.artifacts[0]['id']}/zip"
    archive = door(hub).download(path, 1 << 20)

    assert archive == hub.artifacts[0]["archive"]
    assert [given for _, path, given in hub.asked if path.startswith("/blob")] == [""]
    with pytest.raises(ForgeError, match="longer than 10 bytes"):
        door(hub).download(path, 10)
    hub.artifacts.clear()
    assert door(hub).download(path, 1 << 20) is None


def test_every_page_is_read(hub: Hub) -> None:
    for number in range(250):
        hub.comment(7, "somebody", str(number))

    found = [item["body"] for item in door(hub).pages("/repos/example/fleet/issues/7/comments")]
    assert found == [str(number) for number in range(250)]


def test_denied_is_told_from_broken(hub: Hub) -> None:
    with pytest.raises(ForgeDenied):
        Http(hub.url, {}).known("GET", PULL)
    with pytest.raises(ForgeDenied):
        door(hub).known("GET", "/repos/example/other/pulls/7")
    hub.broken = 9
    with pytest.raises(ForgeError, match="answered 502"):
        door(hub).known("GET", PULL)


def test_nobody_there_is_an_error_without_the_query(hub: Hub) -> None:
    gone = door(hub)
    gone._base = "http://127.0.0.1:1"  # noqa: SLF001 - a port where nobody listens
    with pytest.raises(ForgeError) as caught:
        gone.ask("GET", "/x", query={"key": "k"})
    assert "key" not in str(caught.value)
