"""Options of other servers' chats: what is taken because it changes nothing, and what would lie.

Names are OpenAI's (platform.openai.com, Chat Completions) and vLLM's sampling parameters. An option
that would make the answer another one, and that no engine here can honour, is refused by name
unless its value asks for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onecard.errors import InvalidRequest, shown

# They say who asks, how it is billed or in which form it travels: nothing of the answer.
MEANINGLESS = frozenset(
    {
        "metadata", "model", "prompt_cache_key", "prompt_cache_retention",
        "safety_identifier", "service_tier", "store", "stream_options", "user",
    }
)  # fmt: skip
_TOOLS = "OpenAI's older form; use `tools` and `tool_choice`"
_SAMPLING = "NVIDIA's backend has no tensor for it"
_GUIDES = "use `response_format` with `json_schema`"
# name -> (values that ask for nothing, why others are refused); nor do null, [], {} and "".
NEUTRAL: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "add_generation_prompt": ((True,), "the answer always begins a turn of the assistant"),
    "audio": ((), "the answer is text"),
    "best_of": ((1,), "one answer is made"),
    "chat_template": ((), "the engine's own template is used"),
    "chat_template_kwargs": ((), "the engine's own template is used as it is"),
    "echo": ((False,), "the prompt is not sent back"),
    "function_call": (("none", "auto"), _TOOLS),
    "functions": ((), _TOOLS),
    "guided_choice": ((), _GUIDES),
    "guided_grammar": ((), _GUIDES),
    "guided_json": ((), _GUIDES),
    "guided_regex": ((), _GUIDES),
    "ignore_eos": ((False,), "use `min_tokens`"),
    "include_stop_str_in_output": ((False,), "the answer ends before its stop string"),
    "length_penalty": ((1, 0), "no beams are searched"),
    "min_p": ((0,), f"{_SAMPLING}; use `top_p` or `top_k`"),
    "modalities": ((["text"],), "the answer is text"),
    "n": ((1,), "one answer is made; ask again with another `seed`"),
    "prediction": ((), "no predicted output is used"),
    "reasoning_effort": (("none",), "the model has no steps of reasoning to choose from"),
    "skip_special_tokens": ((True,), "special tokens are never text"),
    "top_logprobs": ((0,), "NVIDIA's backend tells the chosen token's alone; use `logprobs`"),
    "typical_p": ((1,), _SAMPLING),
    "use_beam_search": ((False,), "no beams are searched"),
    "verbosity": (("medium",), "ask for it in the conversation, or use `max_tokens`"),
    "web_search_options": ((), "nothing is searched for"),
}
NAMES = (*MEANINGLESS, *NEUTRAL)


def verify(options: Mapping[str, Any]) -> None:
    """Refuse the first option of NEUTRAL that asks for something.

    Raises:
        InvalidRequest: by name, with what to do.
    """
    for name, value in options.items():
        if name not in NEUTRAL or value in (None, "") or value in ([], {}):
            continue
        allowed, why = NEUTRAL[name]
        if not any(value == other and isinstance(value, bool) == isinstance(other, bool)
                   for other in allowed):  # fmt: skip
            wanted = " or ".join(["left out", *(shown(other) for other in allowed)])
            raise InvalidRequest(f"option `{name}` is {shown(value)}, must be {wanted}: {why}")
