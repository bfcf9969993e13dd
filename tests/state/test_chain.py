from hypothesis import given
from hypothesis import strategies as st
from journal_drafts import AT, draft

from reconciler.canonical import sha256
from reconciler.model import Draft, EntryKind, Json, Serial
from reconciler.state.chain import GENESIS, damage, link

texts = st.text(st.characters(codec=None), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
drafts = st.builds(
    Draft,
    st.sampled_from(EntryKind),
    texts,
    texts,
    st.none() | texts.map(Serial),
    st.dictionaries(texts, values, max_size=3),
)


@given(st.lists(drafts, max_size=4), st.integers(0, 10**9))
def test_a_hash_is_that_of_the_canonical_spelling_of_the_whole_entry(given: list[Draft], seq: int) -> None:
    previous = GENESIS
    for number, entry in enumerate(link(given, seq, previous), seq + 1):
        whole: dict[str, Json] = {
            "seq": number,
            "kind": entry.kind,
            "at": entry.at,
            "run": entry.run,
            "serial": entry.serial,
            "data": dict(entry.data),
            "previous": previous,
        }
        assert entry.hash == sha256(whole)
        assert damage(entry, number - 1, previous) is None
        previous = entry.hash


def test_a_hash_stays_what_it_was() -> None:
    """Journals that exist must verify with every later version."""
    [entry] = link([draft(EntryKind.APPLIED, Serial("é"), status=200, attempts=1)], 0, GENESIS)

    assert entry.at == AT
    assert entry.hash == "4099686843e5893125e57129fcbd46c003e05a1d64680329bfb4c7cd83e463ea"
