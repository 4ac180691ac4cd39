"""Ollama's requests as a server's options."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from onecard_gateway.chat import ollama_tools
from onecard_gateway.chat.body import take_flag, take_text, wrong
from onecard_gateway.errors import Refusal
from onecard_gateway.models import CHAT

_PASSED = (
    "frequency_penalty", "min_p", "presence_penalty", "seed", "stop", "temperature", "top_k",
    "top_p", "typical_p",
)  # fmt: skip
_RENAMED = {"num_predict": "max_tokens", "repeat_penalty": "repetition_penalty"}
_NO_TIME = re.compile(r"[+-]?(?:0+(?:\.0*)?(?:ns|us|µs|ms|s|m|h)?)+")
# What a model that stays loaded, and has its own template, needs no word about.
_MEANINGLESS = ("keep_alive", "options", "shift", "truncate")


@dataclass
class Asked:
    """A request of Ollama's API.

    Attributes:
        options: the server's.
        context_tokens: how much context it wants; None where it does not say.
        ignored: names of options that change nothing here.
        has_turn: there is something to answer; else a model is only to be loaded, or unloaded.
        is_kept: false where it shall not stay loaded.
    """

    model: str
    messages: Any
    options: dict[str, Any]
    is_streamed: bool
    context_tokens: int | None = None
    ignored: list[str] = field(default_factory=list)
    is_kept: bool = True

    @property
    def has_turn(self) -> bool:
        return bool(self.messages)


def chat(body: dict[str, Any]) -> Asked:
    """A request for /api/chat. Raises Refusal for what cannot be followed."""
    return _asked(body, ollama_tools.messages(body.pop("messages", None) or []))


def generate(body: dict[str, Any]) -> Asked:
    """A request for /api/generate. Raises Refusal for what cannot be followed."""
    prompt, system = take_text(body, "prompt", ""), take_text(body, "system", "")
    for name in ("suffix", "template", "context", "images", "raw", "tools"):
        if body.pop(name, None):
            raise Refusal(
                400, f"`{name}` is given, must be left out: a prompt is asked as a message", name
            )
    messages = [{"role": "system", "content": system}] if system else []
    return _asked(body, [*messages, {"role": "user", "content": prompt}] if prompt else [])


def _asked(body: dict[str, Any], messages: Any) -> Asked:
    settings = body.pop("options", None) or {}
    if not isinstance(settings, dict):
        raise wrong("options", settings, "an object")
    asked = Asked(
        model=take_text(body, "model", CHAT),
        messages=messages,
        options={"response_format": _form(body.pop("format", None))},
        is_streamed=take_flag(body, "stream", True),
        is_kept=not _is_nothing(body.get("keep_alive")),
    )
    if body.pop("think", None):
        raise Refusal(400, "`think` is set, must be false: the model answers at once", "think")
    _take(asked, settings)
    # The rest is for the server to judge by name, such as tools.
    asked.options |= {name: body[name] for name in body if name not in _MEANINGLESS}
    asked.options = {name: one for name, one in asked.options.items() if one is not None}
    return asked


def _is_nothing(keep_alive: Any) -> bool:
    """Whether it is a time of 0: a number of seconds, or a duration as Go writes it."""
    if isinstance(keep_alive, bool) or not isinstance(keep_alive, int | float | str):
        return False
    return bool(_NO_TIME.fullmatch(str(keep_alive)))


def _form(value: Any) -> dict[str, Any] | None:
    if value in (None, ""):
        return None
    if value == "json":
        return {"type": "json_object"}
    if not isinstance(value, dict):
        raise wrong("format", value, "`json` or a JSON schema")
    return {"type": "json_schema", "json_schema": value}


def _take(asked: Asked, settings: dict[str, Any]) -> None:
    for name, value in settings.items():
        if name == "num_ctx":
            if value is not None and type(value) is not int:
                raise wrong("num_ctx", value, "a whole number")
            asked.context_tokens = value
        elif name in _PASSED:
            asked.options[name] = value
        elif name in _RENAMED:
            # Ollama's -1 and -2 are "without a limit" and "to the end of the context"
            is_limit = name != "num_predict" or not isinstance(value, int) or value > 0
            asked.options[_RENAMED[name]] = value if is_limit else None
        else:
            asked.ignored.append(name)
