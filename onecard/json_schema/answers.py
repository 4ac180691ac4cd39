"""Whether what was generated is the JSON that was asked for."""

from __future__ import annotations

import json
from typing import Any

from onecard.errors import clipped, named
from onecard.json_schema.document import Document


class _Wrong(ValueError):
    """A fault of a text, in words."""


def problem(text: str, document: Document) -> str | None:
    """Where and why `text` is not what `document` wants; None where it is."""
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except _Wrong as error:
        return str(error)
    except ValueError as error:
        return f"the whole: it is not JSON ({clipped(str(error), 200)})"
    except RecursionError:
        return "the whole: lists and objects lie too deep within one another"
    return document.problem(value)


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """A name with two values means one thing to some readers and another thing to others."""
    found: dict[str, Any] = {}
    for name, value in members:
        if name in found and found[name] != value:
            raise _Wrong(f"the whole: an object has the name {named(name)} twice")
        found[name] = value
    return found


def _constant(name: str) -> Any:
    raise _Wrong(f"the whole: `{name}` is no JSON")
