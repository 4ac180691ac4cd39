"""What a generated text is held to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Guide:
    """What the generated text has to be, token by token; `text` is not read for `json`."""

    kind: Literal["json", "json_schema", "regex", "ebnf_grammar"]
    text: str = ""
