"""The base of a plan's sections: pydantic validates them, and PlanError says what is wrong."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import ErrorDetails

from build_scripts.errors import PlanError
from build_scripts.plans.values import verify_known

if TYPE_CHECKING:
    from typing_extensions import Self

CONFIG = ConfigDict(extra="forbid", use_attribute_docstrings=True)
_KINDS = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "a text",
    "bool_type": "true or false",
    "tuple_type": "a list",
}


@dataclass(frozen=True, config=CONFIG)
class Section:
    """A section is called after its class: `[card]` is `Card`."""

    @model_validator(mode="wrap")
    @classmethod
    def _explained(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """The section that `value` states. Raises PlanError where it states none."""
        try:
            return handler(value)
        except ValidationError as error:
            faults = error.errors(include_url=False)
            # A misspelt key is two faults; the other one is that the right one is missing.
            faults.sort(key=lambda fault: fault["type"] != "unexpected_keyword_argument")
            raise PlanError(explain(cls, faults[0])) from None


def explain(section: type[Section], fault: ErrorDetails) -> str:
    """What was found in `section`, and what was wanted there. Raises PlanError for unknown keys,
    which names the nearest."""
    name = getattr(section, "title", section.__name__.lower())
    fields = [field.name for field in dataclasses.fields(section)]
    kind, found, limits = fault["type"], fault["input"], fault.get("ctx", {})
    if kind == "dataclass_type":
        return f"`{name}` is `{found!r}`, must be a section: [{name}]"
    first, *rest = fault["loc"]
    if kind == "dict_type":
        # Two values of a plan are tables: `models`, whose name is the top's, and `speech.models`.
        path = ".".join([*([name] if name != "plan" else []), "models", *map(str, rest)])
        return f"`{path}` is `{found!r}`, must be a section: [{path}]"
    key = fields[first] if isinstance(first, int) else first  # an int: where it was given by place
    where = f"one of {name}.{key}" if rest else f"{name}.{key}"
    if kind == "unexpected_keyword_argument":
        verify_known(name, key, fields)
    if kind == "missing":
        return f"{where} is missing"
    if kind == "repeated":
        return f"{where} names `{limits['name']}` twice, must name each once"
    if kind in _KINDS:
        return f"{where} is `{found!r}`, must be {_KINDS[kind]}"
    if wanted := _wanted(kind, found, limits):
        return f"{where} is `{found}`, must {wanted}"
    return f"{where} is `{found}`: {fault['msg']}"


def _wanted(kind: str, value: Any, limits: dict[str, Any]) -> str:
    """What the value must do; empty for a kind of fault that no field of a plan has."""
    if kind == "string_pattern_mismatch" and str(value).strip():
        return (
            "have no comma and no spaces at its ends: the names become one text with commas between"
        )
    if kind in ("string_pattern_mismatch", "too_short"):
        return "not be empty"
    if kind == "greater_than_equal":
        return f"be at least {limits['ge']:g}"
    if kind == "less_than_equal":
        return f"be at most {limits['le']:g}"
    if kind == "finite_number":
        return "be a finite number"
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", limits["expected"])
        return "be one of " + ", ".join(f'"{choice}"' for choice in choices if choice)
    return ""
