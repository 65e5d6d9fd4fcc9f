"""Files with gaps (``templates/*``) that are filled for a program: its header, self-test, main function and harness."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files


def filled(path: str, fields: Mapping[str, str], package: str = "binnet.convert.c") -> str:
    """The file at ``path`` in a package, with each ``@FIELD@`` replaced; KeyError when a field is missing."""
    text = files(package).joinpath(path).read_text("utf-8")
    return re.sub(r"@(\w+)@", lambda gap: fields[gap[1]], text)


def prefixes(name: str) -> dict[str, str]:
    """The fields of the prefix of public names: ``@name@`` of functions, ``@NAME@`` of macros."""
    return {"name": name, "NAME": name.upper()}
