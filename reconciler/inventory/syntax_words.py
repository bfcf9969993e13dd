"""What libyaml's syntax errors mean, what else is refused that it takes, and what to do about them."""

from yaml import MarkedYAMLError

from reconciler.inventory.scalars import quoted

_TAB = ("a tab is used as indentation", "indent with spaces")
_WORDS = {
    "found a tab character that violates indentation": _TAB,
    "mapping values are not allowed in this context": (
        'a ": " stands where no key can be',
        'quote a value that holds ": ", or check the indentation of this line',
    ),
    "could not find expected ':'": (
        "this line is not `key: value`",
        "write a colon and a space after the key, or check the indentation",
    ),
    "did not find expected key": (
        "this does not fit what stands above it",
        "check the indentation, and that quotes around a value go around all of it",
    ),
    "did not find expected '-' indicator": (
        "this stands among the items of a list and is none",
        "begin it with `- `, or check its indentation",
    ),
    "block sequence entries are not allowed in this context": (
        "a list cannot begin here",
        "put the `- ` on a line of its own under the key",
    ),
    "found unexpected end of stream": ("this quote is never closed", "close the quote"),
    "found unexpected document indicator": ("this quote is never closed", "close the quote"),
    "found unknown escape character": (
        "in double quotes a backslash begins an escape, and this is not one",
        "use single quotes, or double the backslash",
    ),
    "found invalid Unicode character escape code": (
        "this escape is no character: half of a surrogate pair, or beyond U+10FFFF",
        "write the character itself, or \\U and its eight hexadecimal digits",
    ),
    "did not find expected hexdecimal number": (
        "this escape lacks hexadecimal digits",
        "use single quotes, or complete it",
    ),
    "did not find expected ',' or ']'": ("this [ is never closed, or a comma is missing", "close it, or add the comma"),
    "did not find expected ',' or '}'": ("this { is never closed, or a comma is missing", "close it, or add the comma"),
    "found incompatible YAML document": ("files are read as YAML 1.2", "delete the line with the %"),
}
_TOLD_AT_ITS_BEGINNING = frozenset(problem for problem, (words, _) in _WORDS.items() if "never closed" in words) | {
    "could not find expected ':'"
}
_CONFLICT = "<<<<<<< "
"""What git begins both sides of a conflict with, on a line of its own."""


def explain(error: MarkedYAMLError, text: str) -> tuple[str, str, tuple[int, int]]:
    """Message, fix, and the line and column (both from 0) of a syntax error in `text`."""
    for number, line in enumerate(text.split("\n")):
        if line.startswith(_CONFLICT):
            fix = "keep what is right of both sides, and delete this line, the ======= and the >>>>>>>"
            return "this is not YAML: a merge conflict is not resolved", fix, (number, 0)
    problem = error.problem or "it cannot be read"
    mark = error.context_mark if problem in _TOLD_AT_ITS_BEGINNING else error.problem_mark
    mark = mark or error.problem_mark or error.context_mark
    at = (mark.line, mark.column) if mark is not None else (0, 0)
    if problem == "found character that cannot start any token":
        words, fix = _cannot_start(text, *at)
    else:
        context = f" {error.context}" if error.context else ""
        words, fix = _WORDS.get(problem, (problem + context, "check this line and the one above it"))
    return f"this is not YAML: {words}", fix, at


TAGGED = (
    "tags are not used here: a value is what it looks like",
    "delete the tag; quote the value to make it a string, or to begin text with !",
)
"""Message and fix for a tag."""


def anchored(name: str) -> tuple[str, str]:
    """Message and fix for an anchor."""
    message = f"&{name} is an anchor; the values of a device stand in its file, in plain sight"
    return message, f"delete &{name} and write the value out where it is needed; to begin text with &, quote it"


def joined(key: str) -> tuple[str, str]:
    """Message and fix for a key that swallowed its value."""
    name, _, value = key.partition(":")
    fix = f"write a space after the colon: {name}: {value}; to mean a key of that name, quote it"
    return f"the key {quoted(key)} has no value", fix


def _cannot_start(text: str, line: int, column: int) -> tuple[str, str]:
    lines = text.split("\n")
    character = lines[line][column : column + 1] if line < len(lines) else ""
    if character == "\t":
        return _TAB
    return f"text cannot begin with {character}", "write the whole text in quotes"
