"""The guide that a generated text has to follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Guide:
    """A form that the text has to have, token by token; `text` is not read for `json`."""

    kind: Literal["json", "json_schema", "regex", "ebnf_grammar"]
    text: str = ""
