"""A plan as a JSON document: what `--out` writes, `--format json` prints and `apply PLANFILE` reads.

The law: reading what was written gives an equal plan, but for the values of secrets, which are never written.
`refusals` and `summary` say again what `guards` and `changes` say, for programs that want no more.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from json.encoder import encode_basestring
from typing import Any

from reconciler.brief import actions, columns
from reconciler.canonical import canonical
from reconciler.change_json import (
    divergence_from_json,
    divergence_to_json,
    field_from_json,
    field_to_json,
    source_from_json,
    source_to_json,
)
from reconciler.errors import PlanFileError
from reconciler.model import (
    ABSENT,
    NEVER_SENT,
    Action,
    Change,
    FieldChange,
    GuardCheck,
    Json,
    Plan,
    Serial,
    Standing,
)
from reconciler.pointer import split

FORMAT_VERSION = 1


def digest(changes: Iterable[Change]) -> str:
    """sha256 over canonical JSON of (serial, action, path, before, after) of every field, and of who replaces whom.

    Secrets are left out.
    """
    return digest_of(digested(change).encode("utf-8", "surrogatepass") for change in changes)


def digested(change: Change) -> str:
    """What a change contributes to the digest: canonical JSON, its rows with commas between."""
    head: dict[str, Json] = {"serial": change.serial, "action": change.action}
    head |= _swap_to_json(change)
    if change.action is Action.ADOPT and change.fields and len(head) == 2:  # noqa: PLR2004 - the most common, by hand
        return _adopted(change)
    rows = [head | field_to_json(replace(_shown(field), source=None)) for field in change.fields] or [head]
    return ",".join(map(canonical, rows))


def _adopted(change: Change) -> str:
    paths, found = columns(change.fields)
    rows = []
    for path, after, sensitive in zip(paths, found.after, found.sensitive, strict=True):
        spelled = encode_basestring(after) if type(after) is str else "" if after is ABSENT else canonical(after)
        text = f'"after":{spelled},' if spelled and not sensitive else ""
        secret = '"sensitive":true,' if sensitive else ""
        rows.append(f'{{"action":"adopt",{text}"path":{encode_basestring(path)},{secret}"serial":"{change.serial}"}}')
    return ",".join(rows)


def digest_of(rows: Iterable[bytes]) -> str:
    """The digest of changes that contribute `rows`, in serial order."""
    total, between = sha256(b"["), b""
    for row in rows:
        total.update(between + row)
        between = b","
    total.update(b"]")
    return total.hexdigest()


def summary(plan: Plan) -> dict[str, int]:
    """How many devices each action concerns, how many need none, and how many are set aside."""
    done = Counter(actions(plan.changes))
    counts = {action.value: done[action] for action in Action}
    return counts | {"unchanged": plan.unchanged, "observed": len(plan.observed), "paused": len(plan.paused)}


def to_json(plan: Plan) -> dict[str, Json]:
    """The document; see schemas/plan.schema.json."""
    return {
        "format_version": FORMAT_VERSION,
        "lineage": plan.lineage,
        "revision": plan.revision,
        "digest": plan.digest,
        "targets": list(plan.targets),
        "nested": plan.nested if isinstance(plan.nested, str) else {**plan.nested},
        "summary": dict(summary(plan)),
        "changes": [_change_to_json(change) for change in plan.changes],
        "guards": [_check_to_json(check) for check in plan.guards],
        "observed": [_change_to_json(change) for change in plan.observed],
        "paused": list(plan.paused),
        "refusals": [
            {"rule": refusal.rule, "message": refusal.message, "override": refusal.override}
            for refusal in plan.refusals
        ],
        "standing": [
            {
                "serial": item.serial,
                "divergence": [divergence_to_json(found) for found in item.divergence],
                "unconfirmed": list(item.unconfirmed),
            }
            for item in plan.standing
        ],
    }


def from_json(document: Any, schema: dict[str, Any]) -> Plan:  # noqa: ANN401 - whatever a JSON file holds
    """The plan that a document holds; `schema` is plan.schema.json.

    Raises PlanFileError for another format version, anything the schema does not allow, a digest that does not fit the
    changes, and changes of fields that are never sent: a plan file is input like any other.
    """
    import jsonschema_rs

    if isinstance(document, dict) and document.get("format_version", FORMAT_VERSION) != FORMAT_VERSION:
        raise PlanFileError(
            f"its format is version {document['format_version']!r}, this program reads {FORMAT_VERSION}; plan again"
        )
    if not jsonschema_rs.Draft202012Validator(schema).is_valid(document):
        raise PlanFileError(f"it is not a plan: {_fault(document, schema)}; plan again")
    plan = Plan(
        lineage=document["lineage"],
        revision=document["revision"],
        changes=tuple(_change_from_json(item) for item in document["changes"]),
        unchanged=document["summary"]["unchanged"],
        guards=tuple(GuardCheck(**item) for item in document["guards"]),
        standing=tuple(
            Standing(
                Serial(item["serial"]),
                tuple(divergence_from_json(found) for found in item["divergence"]),
                tuple(item["unconfirmed"]),
            )
            for item in document["standing"]
        ),
        targets=tuple(document["targets"]),
        digest=document["digest"],
        nested=document["nested"],
        observed=tuple(_change_from_json(item) for item in document["observed"]),
        paused=tuple(Serial(serial) for serial in document["paused"]),
    )
    if digest(plan.changes) != plan.digest:
        raise PlanFileError("its digest does not fit its changes: it was edited; plan again")
    every = (*plan.changes, *plan.observed)
    if len({*(change.serial for change in every), *plan.paused}) < len(every) + len(plan.paused):
        raise PlanFileError("it names a serial twice; plan again")
    waits = {change.serial: change.waits_for for change in every}
    for change in every:
        if change.waits_for and waits.get(change.waits_for):
            raise PlanFileError(f"{change.serial} waits for {change.waits_for}, which waits itself; plan again")
        for field in change.fields:
            if field.sensitive and (field.before, field.after) != (ABSENT, ABSENT):
                raise PlanFileError(f"it holds a value for the secret {field.path} of {change.serial}; plan again")
            if field.after is not ABSENT and split(field.path)[0] in NEVER_SENT | {"serial_number"}:
                raise PlanFileError(f"it would change {field.path[1:]} of {change.serial}, which is never sent")
    return plan


def _fault(document: Any, schema: dict[str, Any]) -> str:  # noqa: ANN401 - whatever a JSON file holds
    """What is most wrong, in words: jsonschema has them, and is too slow to ask it about every plan."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema).iter_errors(document))
    if error is None:
        return "it does not fit schemas/plan.schema.json"
    return f"{'/'.join(map(str, error.absolute_path)) or 'the document'}: {error.message[:200]}"


def _check_to_json(check: GuardCheck) -> dict[str, Json]:
    result: dict[str, Json] = {"rule": check.rule, "passed": check.passed, "message": check.message}
    if check.override:
        result["override"] = check.override
    numbers = {"measured": check.measured, "limit": check.limit}
    return result | {key: number for key, number in numbers.items() if number is not None}


def _swap_to_json(change: Change) -> dict[str, Json]:
    result: dict[str, Json] = {"replaces": change.replaces} if change.replaces else {}
    result |= {"kept": True} if change.kept else {}
    return result | ({"waits_for": change.waits_for} if change.waits_for else {})


def _change_to_json(change: Change) -> dict[str, Json]:
    result: dict[str, Json] = {"serial": change.serial, "action": change.action}
    if change.source:
        result["source"] = source_to_json(change.source)
    result |= _swap_to_json(change)
    result |= {"before": change.before, "after": change.after}
    if change.forgets:
        result["forgets"] = change.forgets
    if change.unknown:
        result["unknown"] = change.unknown
    result["fields"] = [field_to_json(_shown(field)) for field in change.fields]
    return result


def _shown(field: FieldChange) -> FieldChange:
    return replace(field, before=ABSENT, after=ABSENT) if field.sensitive else field


def _change_from_json(item: Mapping[str, Any]) -> Change:
    return Change(
        serial=Serial(item["serial"]),
        action=Action(item["action"]),
        fields=tuple(field_from_json(field) for field in item["fields"]),
        before=item["before"],
        after=item["after"],
        unknown=item.get("unknown"),
        replaces=Serial(item["replaces"]) if "replaces" in item else None,
        kept=item.get("kept", False),
        waits_for=Serial(item["waits_for"]) if "waits_for" in item else None,
        forgets=item.get("forgets"),
        source=source_from_json(item["source"]) if "source" in item else None,
    )
