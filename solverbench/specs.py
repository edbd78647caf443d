"""What is written as name[option=value,...]: a solver, or the rule of a grid."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from solverbench.errors import UsageError


def split(spec: str, kind: str) -> tuple[str, str]:
    """The name, and the text in brackets, empty if there are none. Raises UsageError for what cannot be read."""
    match = re.fullmatch(r"\s*([^\[\]\s]+)\s*(?:\[(.*)\])?\s*", spec)
    if match is None:
        raise UsageError(f"cannot read {kind} {spec!r}: write name or name[option=value,...]")
    return match[1], match[2] or ""


def read(text: str, defaults: Mapping[str, Any], whose: str) -> dict[str, Any]:
    """The options that "a=1,b=x" gives, of the types of the defaults; others as text.

    whose: what errors begin with, "solver 'ddim'". Raises UsageError for what cannot be read.
    """
    options: dict[str, Any] = {}
    for part in text.split(",") if text else ():
        key, equals, value = (p.strip() for p in part.partition("="))
        if not equals:
            raise UsageError(f"{whose}: cannot read option {part!r}, write option=value")
        kind = type(defaults.get(key, ""))
        try:
            options[key] = _READERS.get(kind, str)(value)
        except ValueError:
            raise UsageError(f"{whose}: option {key}={value!r} is not {WORDS[kind]}") from None
    return options


def _read_bool(text: str) -> bool:
    try:
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.lower()]
    except KeyError:
        raise ValueError(text) from None


_READERS: dict[type, Callable[[str], Any]] = {bool: _read_bool, int: int, float: float, str: str}
WORDS: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
"""What errors call values of a type."""
