"""What a value of a plan may be: its type, its range, texts that say something, lists of names."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin

from build_scripts.errors import PlanError


def within(where: str, found: float, least: float, most: float = math.inf) -> None:
    """Raises PlanError for what is not finite, or beyond one of the two."""
    if isinstance(found, float) and not math.isfinite(found):
        raise PlanError(f"{where} is `{found}`, must be a finite number")
    if found < least:
        raise PlanError(f"{where} is `{found}`, must be at least {least}")
    if found > most:
        raise PlanError(f"{where} is `{found}`, must be at most {most}")


def says_something(where: str, found: str) -> None:
    """Raises PlanError for an empty text."""
    if not found.strip():
        raise PlanError(f"{where} is `{found}`, must not be empty")


def names(where: str, found: Sequence[str]) -> None:
    """Raises PlanError for names that could not be told apart in one text with commas between."""
    for one in found:
        says_something(f"one of {where}", one)
        if "," in one or one != one.strip():
            raise PlanError(
                f"one of {where} is `{one}`, must have no comma and no spaces at its ends: the "
                "names become one text with commas between"
            )
    twice = [one for one in found if found.count(one) > 1]
    if twice:
        raise PlanError(f"{where} names `{twice[0]}` twice, must name each once")


def table(name: str, found: dict[str, Any]) -> dict[str, Any]:
    """The section of that name. Raises PlanError where it is none."""
    section = found[name]
    if not isinstance(section, dict):
        raise PlanError(f"`{name}` is `{section!r}`, must be a section: [{name}]")
    return section


def of_type(where: str, wanted: Any, found: Any) -> Any:
    """`found` as the type `wanted`. Raises PlanError."""
    if get_origin(wanted) is Literal:
        if found not in get_args(wanted):
            choices = ", ".join(f'"{choice}"' for choice in get_args(wanted) if choice)
            raise PlanError(f"{where} is `{found}`, must be one of {choices}")
        return found
    if get_origin(wanted) is tuple:
        if not isinstance(found, list):
            raise PlanError(f"{where} is `{found!r}`, must be a list")
        return tuple(of_type(where, get_args(wanted)[0], one) for one in found)
    if isinstance(found, int) and abs(found) >= 2**63:
        raise PlanError(f"{where} is a number beyond 64 bits, must be a smaller one")
    if wanted is float and isinstance(found, int) and not isinstance(found, bool):
        found = float(found)
    if not isinstance(found, wanted) or (wanted is not bool and isinstance(found, bool)):
        kinds = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
        raise PlanError(f"{where} is `{found!r}`, must be {kinds[wanted]}")
    return found


def verify_known(where: str, key: str, known: list[str]) -> None:
    """Raises PlanError that names the nearest known key."""
    if key not in known:
        near = difflib.get_close_matches(key, known, n=1) or known
        raise PlanError(f"unknown key `{key}` in {where}; known: {', '.join(near)}")
