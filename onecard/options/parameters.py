"""config.pbtxt's `parameters`, all of them strings, into a typed dataclass that names them.

There are no defaults: the plan is the only place that chooses values.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

Config = TypeVar("Config")

_BOOLS = {"true": True, "false": False}
_CURE = "run `make repository`, which writes it from the plan"


def parse(config: type[Config], values: Mapping[str, str]) -> Config:
    """`config` filled from the parameters of its fields' names; other parameters are left alone.

    A field with a default may be missing.

    Raises:
        ValueError: a parameter is missing, or is not of its field's type.
    """
    hints = typing.get_type_hints(config)
    found = {}
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        if field.name not in values:
            if field.default is not dataclasses.MISSING:
                continue
            raise ValueError(f"config.pbtxt has no parameter `{field.name}`; {_CURE}")
        found[field.name] = _typed(field.name, values[field.name], hints[field.name])
    return config(**found)


def _typed(name: str, text: str, kind: Any) -> Any:
    try:
        return _BOOLS[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        raise ValueError(
            f"config.pbtxt's parameter `{name}` is `{text}`, must be of type "
            f"`{kind.__name__}`; change it in the plan"
        ) from None
