"""Options that only one network has, as words of a command line: ``activation=rprelu,width=32``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..nn.options import check_word


def parse(text: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The options in ``text``, each in the type of its default.

    Parameters
    ----------
    text
        ``NAME=VALUE`` with commas between.
    defaults
        The options there are.

    Raises
    ------
    ValueError
        For another form, an option that is not there or comes twice, and a value of another type.
    """
    found: dict[str, Any] = {}
    for part in text.split(","):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not equals or not name or not value:
            raise ValueError(f"expected NAME=VALUE with commas between, got {text!r}")
        check_word("option", name, tuple(defaults))
        if name in found:
            raise ValueError(f"{name} is given twice in {text!r}")
        found[name] = _value(name, value, type(defaults[name]))
    return found


def written(options: Mapping[str, Any], defaults: Mapping[str, Any], full: bool = False) -> str | None:
    """The inverse of :func:`parse` for options that differ from their defaults, or all; None without any."""
    own = {name: value for name, value in options.items() if name in defaults}
    known = own | {name: value for name, value in defaults.items() if name not in own}
    return ",".join(f"{name}={value}" for name, value in known.items() if full or value != defaults[name]) or None


def _value(name: str, text: str, kind: type) -> Any:
    if kind is str:
        return text
    try:
        return kind(text)
    except ValueError as error:
        words = {int: "a whole number", float: "a number"}
        raise ValueError(f"{name} must be {words[kind]}, got {text!r}") from error
