"""Problems without what they quote: where a schema marks secrets, any text of a file may be one."""

from dataclasses import replace

from reconciler.model import Problem

_WORDS = {
    "RC203": ("an anchor or an alias stands here", "write the value out; to begin text with & or *, quote it"),
    "RC207": ("a key must be a string, and this one is not", "write it in quotes"),
    "RC208": ("this is not a number that JSON can carry", "write another number, or quote it"),
    "RC212": ("a key has no value, and a colon in its name", "write a space after the colon, or quote the key"),
    "RC209": ("this integer is beyond ±(2^53-1): many programs would read it as another number", "write it in quotes"),
}
"""Message and fix of the YAML problems that repeat what they found. Problems of fields mask their own secrets."""
_DUPLICATE = " is already set at "
_CANNOT_BEGIN = "text cannot begin with "


def veiled(problem: Problem) -> Problem:
    """The same problem at the same place, without the line and without any of its text."""
    message, fix = _WORDS.get(problem.code, (problem.message, problem.fix))
    if problem.code == "RC202":
        message = f"this key{_DUPLICATE}{message.rpartition(_DUPLICATE)[2]}"
    elif problem.code == "RC201" and _CANNOT_BEGIN in message:
        message = f"{message.partition(_CANNOT_BEGIN)[0]}{_CANNOT_BEGIN}this character"
    return replace(problem, message=message, fix=fix, excerpt="")
