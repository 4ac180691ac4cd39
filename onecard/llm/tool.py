"""Functions of a caller's that a model may ask for, and what it asks of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Tool:
    """A function that a caller offers.

    Attributes:
        parameters: the JSON schema of its arguments, as text.
    """

    name: str
    description: str
    parameters: str

    @property
    def document(self) -> dict[str, Any]:
        """OpenAI's form, which is what chat templates read."""
        function = {
            "name": self.name,
            "description": self.description,
            "parameters": json.loads(self.parameters),
        }
        return {"type": "function", "function": function}


@dataclass(frozen=True)
class ToolCall:
    """A call of a function.

    Attributes:
        id: nine letters and digits, the only form that Mistral's templates allow.
        arguments: a JSON object, as text.
    """

    id: str
    name: str
    arguments: str

    @property
    def document(self) -> dict[str, Any]:
        """The form that chat templates read: the arguments are an object there."""
        function = {"name": self.name, "arguments": json.loads(self.arguments)}
        return {"id": self.id, "type": "function", "function": function}
