"""The device schema -> schemas for editors: what a file, a `_defaults.yaml` or a group may hold while it is written.

In layers the same fields as in devices, and none of them required; `validate` checks what the layers make together.
"""

from collections.abc import Mapping

from reconciler.model import Json

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_DEVICE = "device.schema.json"

_PATHS: dict[str, Json] = {"type": "array", "items": {"type": "string", "minLength": 1}}
_WORDS: dict[str, Json] = {
    "$labels": {
        "description": "Names to select groups by, and to fill texts with: {$labels.site}. Inherited like values.",
        "type": "object",
        "additionalProperties": {"type": "string", "minLength": 1},
        "examples": [{"region": "fr", "site": "paris"}],
    },
    "$unset": {
        "description": "Paths of values that the layers below set, and that are to go: [configuration.channel].",
        **_PATHS,
    },
    "$lock": {
        "description": "Paths about which no layer above may say anything.",
        **_PATHS,
    },
    "$override": {
        "description": "Values, by path, that hold up to and including a day; then the inherited ones are back.",
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "required": ["value", "until", "reason"],
            "additionalProperties": False,
            "properties": {
                "value": True,
                "until": {"description": "The last day, as YYYY-MM-DD.", "type": "string", "format": "date"},
                "reason": {"type": "string", "minLength": 1},
            },
        },
    },
    "$manage": {
        "description": "apply; observe: planned and not sent; pause: left alone.",
        "enum": ["apply", "observe", "pause"],
    },
}
_REPLACES: Json = {"description": "Serial number of the device that this one stands in for.", "type": "string"}


def editor_schemas(device: Mapping[str, Json]) -> dict[str, dict[str, Json]]:
    """By file name, the schemas to put beside `device`, the one of devices. A change to it asks for new ones."""
    properties = device.get("properties")
    fields = properties if isinstance(properties, dict) else {}
    rest = device.get("additionalProperties", True)
    shared: dict[str, Json] = {name: _optional(rule, name) for name, rule in fields.items() if name != "serial_number"}
    layer: dict[str, Json] = {"type": "object", "additionalProperties": rest, "properties": {**shared, **_WORDS}}
    group: dict[str, Json] = {name: rule for name, rule in _WORDS.items() if name != "$labels"}
    own: dict[str, Json] = {
        "type": "object",
        "required": ["serial_number"],
        "additionalProperties": rest,
        "properties": {"serial_number": _reference("serial_number"), **shared, **_WORDS, "$replaces": _REPLACES},
    }
    return {
        "inventory.schema.json": {
            **_head(
                "Inventory file", "One device, or a list of them under `devices`, with what they share in `defaults`."
            ),
            "if": {"type": "object", "required": ["devices"]},
            "then": {
                "additionalProperties": False,
                "properties": {
                    "defaults": {"$ref": "defaults.schema.json"},
                    "devices": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/device"}},
                },
            },
            "else": {"$ref": "#/$defs/device"},
            "$defs": {"device": own},
        },
        "defaults.schema.json": {
            **_head("Defaults", "What devices share: those of a folder (`_defaults.yaml`) or of a file (`defaults`)."),
            **layer,
        },
        "group.schema.json": {
            **_head("Group", "What the devices share that `select` matches: a file in `inventory/_groups`."),
            "type": "object",
            "required": ["group", "select", "set"],
            "additionalProperties": False,
            "properties": {
                "group": {"description": "The name of the group.", "type": "string", "minLength": 1},
                "priority": {
                    "description": "Of two groups, the higher lies on top; 0 unless given.",
                    "type": "integer",
                },
                "select": {
                    "description": "Fields, tags and $labels that a device of the group has. A list: one of these.",
                    "type": "object",
                    "minProperties": 1,
                    "properties": {**dict.fromkeys(fields, True), "$labels": {"type": "object"}},
                    "additionalProperties": rest is not False,
                },
                "set": {"type": "object", "additionalProperties": rest, "properties": {**shared, **group}},
            },
        },
    }


def _head(title: str, description: str) -> dict[str, Json]:
    made = " Made from device.schema.json by `reconciler schemas`."
    return {"$schema": _DRAFT, "title": title, "description": description + made}


def _optional(rule: Json, name: str) -> Json:
    """The rule of one field; by reference, unless it requires something inside."""
    return _reference(name) if not _requires(rule) else _without_required(rule)


def _reference(name: str) -> dict[str, Json]:
    escaped = name.replace("~", "~0").replace("/", "~1")
    return {"$ref": f"{_DEVICE}#/properties/{escaped}"}


def _requires(rule: Json) -> bool:
    if isinstance(rule, dict):
        return isinstance(rule.get("required"), list) or any(_requires(inner) for inner in rule.values())
    return isinstance(rule, list) and any(_requires(inner) for inner in rule)


def _without_required(rule: Json) -> Json:
    if isinstance(rule, dict):
        found = {
            key: _without_required(inner)
            for key, inner in rule.items()
            if not (key == "required" and isinstance(inner, list))
        }
        if isinstance(reference := found.get("$ref"), str) and reference.startswith("#"):
            found["$ref"] = _DEVICE + reference
        return found
    return [_without_required(inner) for inner in rule] if isinstance(rule, list) else rule
