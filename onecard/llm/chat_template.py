"""Hugging Face's chat templates: a conversation rendered to text.

Templates are offered what `transformers` offers them (utils/chat_template_utils.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.sandbox

from onecard.errors import MAX_SHOWN_LETTERS, InvalidRequest, clipped, named
from onecard.llm.message import Message

FILENAME = "chat_template.jinja"  # next to tokenizer_config.json, or the key `chat_template` in it


class ChatTemplate:
    """One model's template.

    Args:
        source: Jinja.
        variables: what the template may name besides the conversation, `bos_token` for example.
    """

    def __init__(self, source: str, variables: Mapping[str, str]) -> None:
        environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[_Generation, jinja2.ext.loopcontrols],
        )
        environment.filters["tojson"] = _tojson
        environment.globals["raise_exception"] = _raise
        environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
        self._template = environment.from_string(source)
        self._variables = dict(variables)

    def render(
        self,
        turns: Sequence[Mapping[str, Any]],
        continued: bool = False,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> str:
        """The conversation and the beginning of the answer, unless the last message is `continued`.

        Args:
            turns: as `turn` makes them of messages.
            tools: in OpenAI's form.

        Raises:
            InvalidRequest: the template does not allow such a conversation.
        """
        try:
            return self._template.render(
                messages=turns,
                tools=list(tools) or None,
                documents=None,
                add_generation_prompt=not continued,
                **self._variables,
            )
        except Exception as error:  # templates fail in any way that expressions can
            roles = named(", ".join(turn["role"] for turn in turns))
            raise InvalidRequest(
                f"MESSAGES has the roles {roles}, which the model's chat template refuses: "
                f"{clipped(str(error), MAX_SHOWN_LETTERS * 2)}; send a conversation that it allows"
            ) from error


def turn(message: Message) -> dict[str, Any]:
    """A message as templates read it; members that it has not are not there."""
    found: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        found["tool_calls"] = [call.document for call in message.tool_calls]
    if message.answers is not None:
        found |= {"tool_call_id": message.answers.id, "name": message.answers.name}
    return found


def source_in(directory: Path, config: Mapping[str, Any]) -> str:
    """The template that lies in `directory` or that `config` (tokenizer_config.json) holds.

    Raises:
        ValueError: there is none.
    """
    path = directory / FILENAME
    if path.is_file():
        return path.read_text(encoding="utf-8")
    found = config.get("chat_template")
    if isinstance(found, list):  # several, by name
        found = {entry["name"]: entry["template"] for entry in found}.get("default")
    if not isinstance(found, str):
        raise ValueError(
            f"`{directory}` has neither `{FILENAME}` nor a `chat_template` in "
            "tokenizer_config.json; a model without one cannot chat: add the model's own"
        )
    return found


class _Generation(jinja2.ext.Extension):
    """`{% generation %}` marks what the model itself says, for training; here it says nothing."""

    tags = {"generation"}  # noqa: RUF012 - as the class above has it

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.Scope(body, lineno=line)


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Jinja's own filter would escape what is special in HTML."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )
