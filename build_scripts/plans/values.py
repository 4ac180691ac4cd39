"""What a value of a plan may be: the types of its fields, and checks that other modules share."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from build_scripts.errors import PlanError


def _once_each(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if names.count(name) > 1:
            raise PydanticCustomError("repeated", "{name}", {"name": name})
    return names


# Strict: neither "24" nor true is a number.
Count = Annotated[int, Field(strict=True, ge=1)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(pattern=r"\S")]
# Names become one text with commas between.
Name = Annotated[str, Field(pattern=r"^[^\s,]([^,]*[^\s,])?$")]
_UNIQUE = {"uniqueItems": True}
Names = Annotated[tuple[Name, ...], Field(json_schema_extra=_UNIQUE), AfterValidator(_once_each)]
SomeNames = Annotated[
    tuple[Name, ...], Field(min_length=1, json_schema_extra=_UNIQUE), AfterValidator(_once_each)
]


def within(where: str, value: int, least: int, most: int) -> None:
    """Raises PlanError for a number beyond one of the two."""
    if value < least:
        raise PlanError(f"{where} is `{value}`, must be at least {least}")
    if value > most:
        raise PlanError(f"{where} is `{value}`, must be at most {most}")


def verify_known(where: str, key: str, known: Sequence[str]) -> None:
    """Raises PlanError that names the nearest known key."""
    if key not in known:
        near = difflib.get_close_matches(key, known, n=1) or known
        raise PlanError(f"unknown key `{key}` in {where}; known: {', '.join(near)}")
