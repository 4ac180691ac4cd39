"""What a caller may ask of a chat: the conversation and the options, validated in one place.

Names are OpenAI's, where OpenAI has the option. It knows nothing of tokens, engines or Triton.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from onecard import json_options
from onecard.errors import InvalidRequest
from onecard.generation import MAX_SEED, Guide
from onecard.llm_tokenizer import Message

ROLES = ("system", "user", "assistant")
MAX_STOP_STRINGS = 16
MAX_STOP_LETTERS = 256  # of one
# The engines' own guide for any JSON lets lists through as well.
ANY_OBJECT = {"type": "object", "additionalProperties": True}
# Which stream runs first where some have to wait.
RANKS = {"high": 0, "normal": 1, "low": 2}


@dataclass(frozen=True)
class ChatOptions:
    """Options of one chat request; the defaults are what an empty object means.

    `max_tokens`, `temperature`: None is the plan's. `top_k`: 0 is the whole vocabulary.
    """

    max_tokens: int | None = None
    min_tokens: int = 0
    temperature: float | None = None
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    stop: str | list[str] | None = None
    response_format: dict[str, Any] | None = None
    logprobs: bool = False
    priority: Literal["high", "normal", "low"] = "normal"

    def __post_init__(self) -> None:
        json_options.verify_types(self)
        json_options.verify_ranges(self, _RANGES)
        _verify_stop(self.stops)
        self.guide()

    @property
    def stops(self) -> list[str]:
        if self.stop is None:
            return []
        return [self.stop] if isinstance(self.stop, str) else self.stop

    @property
    def rank(self) -> int:
        return RANKS[self.priority]

    def guide(self) -> Guide | None:
        """What `response_format` makes the engine follow.

        Raises:
            InvalidRequest: it is none of OpenAI's three forms.
        """
        return None if self.response_format is None else _guide(self.response_format)


_RANGES: dict[str, tuple[float, float]] = {
    "max_tokens": (1, math.inf),
    "min_tokens": (0, math.inf),
    "temperature": (0.0, 2.0),
    "top_p": (0.001, 1.0),
    "top_k": (0, math.inf),
    "seed": (0, MAX_SEED),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
    "repetition_penalty": (0.1, 10.0),
}


def _verify_stop(stops: list[Any]) -> None:
    if len(stops) > MAX_STOP_STRINGS:
        raise InvalidRequest(
            f"option `stop` has {len(stops)} strings, must have at most {MAX_STOP_STRINGS}"
        )
    for stop in stops:
        if not isinstance(stop, str) or not 0 < len(stop) <= MAX_STOP_LETTERS:
            raise json_options.wrong("stop", stop, f"texts of 1 to {MAX_STOP_LETTERS} letters")


def _guide(form: Mapping[str, Any]) -> Guide | None:
    kind = form.get("type")
    known = ["type", "json_schema"] if kind == "json_schema" else ["type"]
    json_options.verify_names("option `response_format`", form, known)
    if kind == "text":
        return None
    if kind == "json_object":
        return Guide("json_schema", json.dumps(ANY_OBJECT))
    if kind != "json_schema":
        raise json_options.wrong(
            "response_format.type", kind, "one of `text`, `json_object`, `json_schema`"
        )
    schema = form.get("json_schema")
    # OpenAI puts it into an object with a name; a schema by itself has no `schema` inside.
    if isinstance(schema, dict) and isinstance(schema.get("schema"), dict):
        schema = schema["schema"]
    if not isinstance(schema, dict):
        raise json_options.wrong("response_format.json_schema", schema, "a JSON schema")
    return Guide("json_schema", json.dumps(schema, ensure_ascii=False))


def messages(text: str) -> list[Message]:
    """The conversation that the JSON `text` holds.

    Raises:
        InvalidRequest: it holds anything but a list of roles and what they said.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        raise InvalidRequest(f"MESSAGES is not JSON ({error}); send {_WANTED}") from error
    if not isinstance(found, list) or not found:
        what = "an empty list" if found == [] else f"a JSON {type(found).__name__}"
        raise InvalidRequest(f"MESSAGES is {what}; send {_WANTED}")
    return [_message(index, turn) for index, turn in enumerate(found)]


_WANTED = 'a list of messages, as in `[{"role": "user", "content": "Hello"}]`'


def _message(index: int, turn: Any) -> Message:
    if not isinstance(turn, dict) or set(turn) != {"role", "content"}:
        found = sorted(turn) if isinstance(turn, dict) else type(turn).__name__
        raise InvalidRequest(
            f"message {index} has `{found}`, must have `role` and `content` and nothing else"
        )
    if turn["role"] not in ROLES:
        raise InvalidRequest(
            f"message {index} has the role `{turn['role']}`, must be one of {', '.join(ROLES)}"
        )
    return Message(turn["role"], _content(index, turn["content"]))


def _content(index: int, content: Any) -> str:
    """The text; of OpenAI's list of parts, their texts joined."""
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    texts = [
        part.get("text") for part in parts if isinstance(part, dict) and part.get("type") == "text"
    ]
    if len(texts) != len(parts) or not all(isinstance(text, str) for text in texts):
        raise InvalidRequest(
            f"message {index} has a `content` that is neither a text nor a list of "
            '`{"type": "text", "text": "..."}`; this model takes text alone'
        )
    return "".join(map(str, texts))
