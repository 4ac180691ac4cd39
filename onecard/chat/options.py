"""Options of a chat request, validated in one place.

Names are OpenAI's, where OpenAI has the option, else vLLM's. `onecard.chat.openai_options` has the
options of theirs that are not fields here.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from onecard.chat import openai_options, response_format, tools
from onecard.chat.response_format import Form
from onecard.chat.tools import Toolset
from onecard.errors import InvalidRequest, shown
from onecard.llm.generation import MAX_SEED
from onecard.options import fields

MAX_STOP_STRINGS = 16
MAX_STOP_LETTERS = 256  # of one
MAX_BIASES = 1024
MAX_BIAS = 100.0  # OpenAI's: as good as a ban, or as nothing else
MAX_INT32 = 2**31 - 1
# Which stream runs first where some have to wait.
RANKS = {"high": 0, "normal": 1, "low": 2}


@dataclass(frozen=True)
class ChatOptions:
    """Options of one chat request; the defaults are what an empty object means.

    `max_tokens`, `temperature`: None is the plan's. `top_k`: 0, like -1, is the whole vocabulary.
    `max_completion_tokens`: OpenAI's newer name of `max_tokens`.
    """

    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    min_tokens: int = 0
    temperature: float | None = None
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: dict[str, float] | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool = True
    logprobs: bool = False
    stream: bool = True
    continue_final_message: bool = False
    priority: Literal["high", "normal", "low"] = "normal"

    def __post_init__(self) -> None:
        fields.verify_types(self)
        fields.verify_ranges(self, _RANGES)
        _verify_stop(self.stops)
        _verify_tokens(self.stop_token_ids or [])
        _verify_biases(self.logit_bias or {})
        response_format.verify(self.response_format)
        tools.verify(self.tools, self.tool_choice)
        if self.may_call:
            self._verify_beside_tools()
        given = {self.max_tokens, self.max_completion_tokens} - {None}
        if len(given) > 1:
            raise InvalidRequest(
                f"option `max_tokens` is {self.max_tokens} and `max_completion_tokens`, which "
                f"means the same, is {self.max_completion_tokens}; give one of them"
            )

    def _verify_beside_tools(self) -> None:
        """Refuse what an answer that is calls, or text inside JSON, cannot follow."""
        is_form = (self.response_format or {}).get("type", "text") != "text"
        asked = {
            "response_format": is_form and self.tool_choice in (None, "auto"),
            "continue_final_message": self.continue_final_message,
        }
        for name, is_asked in asked.items():
            if is_asked:
                raise InvalidRequest(
                    f"option `{name}` is given beside `tools`, where an answer is a call or a text "
                    "and not both; leave it out, or set `tool_choice` to `none`"
                )

    @property
    def may_call(self) -> bool:
        """The answer may call a tool."""
        return bool(self.tools) and self.tool_choice != "none"

    @property
    def limit(self) -> int | None:
        """The most tokens that the answer may have; None is the plan's limit."""
        return self.max_tokens or self.max_completion_tokens

    @property
    def stops(self) -> list[str]:
        if self.stop is None:
            return []
        return [self.stop] if isinstance(self.stop, str) else self.stop

    @property
    def biases(self) -> dict[int, float]:
        """The amounts that are added to the logits of tokens, by token id."""
        return {int(token): float(bias) for token, bias in (self.logit_bias or {}).items()}

    @property
    def rank(self) -> int:
        return RANKS[self.priority]

    @cached_property
    def form(self) -> Form | None:
        """The form that `response_format` asks for; None if any text, or a call, will do.

        Raises:
            InvalidRequest: the engine cannot be held to its schema.
        """
        return None if self.may_call else response_format.read(self.response_format)

    @cached_property
    def toolset(self) -> Toolset | None:
        """The tools that the answer may call; None for none.

        Raises:
            InvalidRequest: the engine cannot be held to the schema of one.
        """
        return tools.read(self.tools, self.tool_choice, self.parallel_tool_calls)


_AllOptions = dataclasses.make_dataclass(
    "_AllOptions",
    [(name, object, None) for name in openai_options.NAMES],
    bases=(ChatOptions,),
    frozen=True,
)


def read(text: str, parameters: str = "") -> ChatOptions:
    """Options from the JSON object `text` (or none) and a request's parameters.

    Raises:
        InvalidRequest: as `onecard.options.fields.decode`, what ChatOptions refuses, or an option
            of another server that cannot be honoured.
    """
    given = fields.decode(_AllOptions, text, parameters)
    others = {name: given.pop(name) for name in openai_options.NAMES if name in given}
    if given.get("continue_final_message") is True and others.get("add_generation_prompt") is False:
        del others["add_generation_prompt"]  # vLLM wants both
    openai_options.verify(others)
    return ChatOptions(**given)


_RANGES: dict[str, tuple[float, float]] = {
    "max_tokens": (1, MAX_INT32),
    "max_completion_tokens": (1, MAX_INT32),
    "min_tokens": (0, MAX_INT32),
    "temperature": (0.0, 2.0),
    "top_p": (0.001, 1.0),
    "top_k": (-1, MAX_INT32),
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
            raise fields.wrong("stop", stop, f"texts of 1 to {MAX_STOP_LETTERS} letters")


def _verify_tokens(tokens: list[Any]) -> None:
    if len(tokens) > MAX_STOP_STRINGS:
        raise InvalidRequest(
            f"option `stop_token_ids` has {len(tokens)} tokens, must have at most "
            f"{MAX_STOP_STRINGS}"
        )
    for token in tokens:
        if type(token) is not int or not 0 <= token <= MAX_INT32:
            raise fields.wrong("stop_token_ids", token, "ids of tokens of this model")


def _verify_biases(biases: dict[Any, Any]) -> None:
    if len(biases) > MAX_BIASES:
        raise InvalidRequest(
            f"option `logit_bias` has {len(biases)} tokens, must have at most {MAX_BIASES}"
        )
    for token, bias in biases.items():
        is_short = len(token) <= len(str(MAX_INT32))
        if not (is_short and token.isascii() and token.isdecimal() and int(token) <= MAX_INT32):
            raise fields.wrong("logit_bias", token, "an object of token ids, as texts")
        if type(bias) not in (int, float) or not math.fabs(bias) <= MAX_BIAS:
            raise InvalidRequest(
                f"option `logit_bias` is {shown(bias)} for the token {token}, must be a number "
                f"between {-MAX_BIAS} and {MAX_BIAS}"
            )
