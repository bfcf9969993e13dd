"""Why a device is as it is, as the document of `schemas/explain.schema.json`. A missing key is ABSENT, or unknown."""

from reconciler.change_json import divergence_to_json, source_to_json
from reconciler.model import ABSENT, Blame, Carried, Explanation, Json, Named, Provenance, Said, Source, Value

FORMAT_VERSION = 1


def explain_json(it: Explanation) -> dict[str, Json]:
    """The whole explanation; secrets are "(sensitive)" already."""
    manage: dict[str, Json] = {"value": it.manage, **_source(it.managed_at)}
    document: dict[str, Json] = {
        "format_version": FORMAT_VERSION,
        "serial": it.serial,
        "path": it.path,
        "declared": it.source is not None,
        **_source(it.source),
        "layers": [*it.layers],
        "groups": [_named(item) for item in it.groups],
        "labels": [{"value": item.text, **_named(item)} for item in it.labels],
        "manage": manage,
        "values": [_value(item) for item in it.values],
    }
    if it.replaces:
        document["replaces"] = it.replaces
    if it.replaced_by:
        document["replaced_by"] = it.replaced_by
    if it.standing:
        document["standing"] = it.standing
    if it.carried:
        document["carried"] = _carried(it.carried)
    if it.action:
        document["action"] = it.action
    return document


def _value(item: Provenance) -> dict[str, Json]:
    found: dict[str, Json] = {"path": item.path, **_optional("value", item.value)}
    if item.sensitive:
        found["sensitive"] = True
    found["said"] = [_said(said) for said in item.said]
    found |= _optional("applied", item.applied)
    if item.carried:
        found["carried"] = _carried(item.carried)
    found |= {name: True for name in ("unknown", "unconfirmed") if getattr(item, name)}
    if item.divergence:
        found["divergence"] = [divergence_to_json(each) for each in item.divergence]
    if item.change:
        change: dict[str, Json] = {**_optional("before", item.change.before), **_optional("after", item.change.after)}
        found["change"] = change
    return found


def _said(said: Said) -> dict[str, Json]:
    found: dict[str, Json] = {"layer": said.layer, "verb": said.verb, "path": said.path, "wins": said.wins}
    found |= {**_source(said.source), **_optional("value", said.value)}
    if said.until:
        found |= {"until": str(said.until), "reason": said.reason}
    if said.blame:
        found["blame"] = _blame(said.blame)
    return found


def _blame(blame: Blame) -> dict[str, Json]:
    if not blame.commit:
        return {"committed": False}
    found: dict[str, Json] = {
        "committed": True,
        "commit": blame.commit,
        "author": blame.author,
        "day": blame.day,
        "subject": blame.subject,
    }
    if blame.request:
        found["request"] = blame.request
    if blame.or_earlier:
        found["or_earlier"] = True
    return found


def _carried(carried: Carried) -> dict[str, Json]:
    found: dict[str, Json] = {"kind": carried.kind, "at": carried.at, "run": carried.run}
    return found | {name: text for name in ("by", "commit", "url") if (text := getattr(carried, name))}


def _named(item: Named) -> dict[str, Json]:
    return {"name": item.name, **_source(item.source)}


def _source(source: Source | None) -> dict[str, Json]:
    return {"source": source_to_json(source)} if source else {}


def _optional(name: str, value: Value) -> dict[str, Json]:
    return {} if value is ABSENT else {name: value}
