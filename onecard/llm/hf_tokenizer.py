"""Hugging Face's `tokenizer.json` and chat template as a tokenizer of conversations."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import tokenizers

from onecard.errors import InvalidRequest
from onecard.llm import chat_template, token_texts, tokenizing
from onecard.llm.chat_template import ChatTemplate
from onecard.llm.detokenizer import Detokenizer
from onecard.llm.message import HUGGING_FACE, Message, verify_continued
from onecard.llm.tool import Tool, ToolCall

# What templates are asked to render once, to see which markers they write; not all allow a system.
_PROBES = (("system", "user", "assistant", "user"), ("user", "assistant", "user"), ("user",))
_WORD = re.compile(r"[\w-]*", re.ASCII)
_BYTE = re.compile("<0x([0-9A-F]{2})>")


class HfTokenizer:
    """The tokenizer of the model in `directory`.

    Markers, such as the special token `<|im_end|>`, have a secret name in this process's copy of
    the vocabulary. The template's markers are given theirs after rendering; in what callers wrote
    the public name is text like any other.

    Raises:
        ValueError: a file of `directory` lacks what is needed.
    """

    name = HUGGING_FACE

    def __init__(self, directory: Path) -> None:
        document = json.loads((directory / HUGGING_FACE).read_text(encoding="utf-8"))
        config = _optional(directory / "tokenizer_config.json")
        variables = _variables(config)
        template = chat_template.source_in(directory, config)
        self._template = ChatTemplate(template, variables)
        self._secrets = {
            marker: secrets.token_hex() for marker in _markers(document, self._template)
        }
        names = {secret: marker for marker, secret in self._secrets.items()}
        self._marker = _any_of(self._secrets)
        self.takes_tools = bool(_probe_tools(self._template))
        to_bytes = _to_bytes(document)
        self._drop_first_space = any(part["type"] == "Strip" for part in _decoders(document))
        _rename(document, self._secrets)
        self._tokenizer = tokenizers.Tokenizer.from_str(json.dumps(document))
        specials = {token["id"] for token in document["added_tokens"] if token["special"]}

        def piece(token_id: int) -> str:
            found = self._tokenizer.id_to_token(token_id) or ""
            return names.get(found, found)

        self._bytes = cache(lambda token_id: to_bytes(piece(token_id)))
        self._text_bytes = cache(lambda i: b"" if i in specials else to_bytes(piece(i)))
        self.end_ids = self._ends(directory, variables)

    def encode_chat(
        self, messages: Sequence[Message], continued: bool = False, tools: Sequence[Tool] = ()
    ) -> list[int]:
        nonce, end = secrets.token_hex(), secrets.token_hex()
        turns = [self._turn(message, nonce) for message in messages]
        if continued:
            verify_continued(messages)
            turns[-1]["content"] = turns[-1]["content"].rstrip().removesuffix(nonce) + end
        offered = [self._values(tool.document, nonce) for tool in tools]
        try:
            text = self._template.render(turns, continued, offered)
        except InvalidRequest as error:
            raise InvalidRequest(str(error).replace(nonce, "").replace(end, "")) from error
        if continued:
            text = self._opened(text, end, messages[-1].content)
        text = self._marker.sub(lambda found: self._secrets[found[0]], text)
        return self._ids(text.replace(nonce, ""))

    def encode(self, text: str) -> list[int]:
        return self._ids(text)

    def count(self, text: str) -> int:
        return len(self._ids(text))

    def token(self, token_id: int) -> str:
        return token_texts.shown(self._bytes(token_id))

    def detokenizer(self, continued: bool = False) -> Detokenizer:
        return Detokenizer(self._text_bytes, self._drop_first_space and not continued)

    def _opened(self, text: str, end: str, content: str) -> str:
        """A conversation cut where its last message ends; `content` as its caller wrote it."""
        head, found, _ = text.rpartition(end)
        if not found:
            raise InvalidRequest(
                "option `continue_final_message` is true, and the model's chat template leaves the "
                "last message out; leave the option out"
            )
        return head + content[len(content.rstrip()) :]

    def _ids(self, text: str) -> list[int]:
        return tokenizing.ids(self._tokenizer, text)

    def _guarded(self, content: str, nonce: str) -> str:
        """`content` with no marker in it, nor half of one at an end, until `nonce` is taken out.

        White space stays outside, because templates trim it.
        """
        text = content.strip()
        if not text:
            return content
        start = content.index(text)
        broken = self._marker.sub(lambda found: f"{found[0][0]}{nonce}{found[0][1:]}", text)
        return f"{content[:start]}{nonce}{broken}{nonce}{content[start + len(text) :]}"

    def _turn(self, message: Message, nonce: str) -> dict[str, Any]:
        """What the template reads of a message; the role alone is not its writer's text."""
        found = chat_template.turn(message)
        content = self._guarded(message.content, nonce)
        return {**self._values(found, nonce), "role": message.role, "content": content}

    def _values(self, value: Any, nonce: str) -> Any:
        """`value` with the texts in it guarded.

        A word that is no marker stays as it is, since templates compare types: `"string"`.
        """
        if isinstance(value, dict):
            return {
                self._values(name, nonce): self._values(inner, nonce)
                for name, inner in value.items()
            }
        if isinstance(value, list):
            return [self._values(inner, nonce) for inner in value]
        if not isinstance(value, str) or (
            _WORD.fullmatch(value) and not self._marker.search(value)
        ):
            return value
        return self._guarded(value, nonce)

    def _ends(self, directory: Path, variables: Mapping[str, str]) -> tuple[int, ...]:
        """`eos_token_id` of generation_config.json, else the `eos_token`."""
        found = _optional(directory / "generation_config.json").get("eos_token_id")
        if found is None:
            marker = variables.get("eos_token", "")
            found = self._tokenizer.token_to_id(self._secrets.get(marker, marker))
        ends = found if isinstance(found, list) else [found]
        if not ends or not all(isinstance(token_id, int) for token_id in ends):
            raise ValueError(
                f"`{directory}` names no end token (found `{found}`); give generation_config.json "
                "an `eos_token_id`, or tokenizer_config.json an `eos_token`"
            )
        return tuple(ends)


def _optional(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _variables(config: Mapping[str, Any]) -> dict[str, str]:
    """`bos_token` and its like, which tokenizer_config.json has as text or as an object."""
    found = {name: value for name, value in config.items() if name.endswith("_token")}
    texts = {
        name: value.get("content") if isinstance(value, dict) else value
        for name, value in found.items()
    }
    return {name: text for name, text in texts.items() if isinstance(text, str)}


def _markers(document: Mapping[str, Any], template: ChatTemplate) -> set[str]:
    """The added tokens that are special, or that the template writes round what is said.

    The others are ordinary words of the vocabulary, a run of spaces for example.
    """
    added = {token["content"]: token["special"] for token in document["added_tokens"]}
    special = {marker for marker, is_special in added.items() if is_special}
    text = _probe(template) + _probe_tools(template)
    written = _any_of(added).findall(text) if added else []
    return special | {marker for marker in written if not marker.isspace()}


def _probe(template: ChatTemplate) -> str:
    for roles in _PROBES:
        try:
            return template.render(_turns(roles))
        except InvalidRequest as error:
            refused = error
    raise ValueError(f"the chat template renders no conversation: {refused}") from refused


def _turns(roles: Iterable[str]) -> list[dict[str, str]]:
    return [{"role": role, "content": secrets.token_hex()} for role in roles]


def _probe_tools(template: ChatTemplate) -> str:
    """Tools, a call and its result as the template writes them; empty if it leaves one out."""
    names = [secrets.token_hex() for _ in range(3)]
    tool, call = Tool(names[0], "", "{}"), ToolCall("abcdefghi", names[1], "{}")
    turns = [
        Message("user", "x"),
        Message("assistant", "", (call,)),
        Message("tool", names[2], answers=call),
        Message("user", "x"),
    ]
    for asked in (turns[:3], turns):  # some want a question after the result, some none
        with contextlib.suppress(InvalidRequest):
            text = template.render([chat_template.turn(turn) for turn in asked])
            text += template.render(_turns(["user"]), tools=[tool.document])
            if all(name in text for name in names):
                return text
    return ""


def _any_of(texts: Iterable[str]) -> re.Pattern[str]:
    """Matches any of `texts`, the longest first; none at all matches nothing."""
    longest_first = sorted(texts, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def _rename(document: dict[str, Any], names: Mapping[str, str]) -> None:
    """Give tokens of a tokenizer.json other names, in place; their ids stay.

    What would put special tokens round a text goes: the template has written them.
    """
    document["post_processor"] = None
    for token in document["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    model = document["model"]
    vocab = model["vocab"]
    if isinstance(vocab, dict):
        model["vocab"] = {names.get(piece, piece): token_id for piece, token_id in vocab.items()}
    else:
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in vocab]
    if "merges" in model:
        model["merges"] = [merge for merge in model["merges"] if _merged(merge) not in names]


def _merged(merge: str | Sequence[str]) -> str:
    """The result of a merge, in either of the two forms of tokenizer.json."""
    return merge.replace(" ", "") if isinstance(merge, str) else "".join(merge)


def _decoders(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The steps of the decoder of a tokenizer.json."""
    decoder = document.get("decoder") or {"type": "none"}
    steps: list[dict[str, Any]] = decoder.get("decoders", [decoder])
    return steps


def _to_bytes(document: Mapping[str, Any]) -> Callable[[str], bytes]:
    """The bytes that a piece of the vocabulary means, by the decoder in tokenizer.json."""
    kinds = [step["type"] for step in _decoders(document)]
    if "ByteLevel" in kinds:
        return _byte_level
    if "ByteFallback" in kinds:
        return _sentencepiece
    raise ValueError(
        f"tokenizer.json has the decoder `{'+'.join(kinds)}`, must have `ByteLevel` or "
        "`ByteFallback`; use a model with one of these"
    )


def _sentencepiece(piece: str) -> bytes:
    """A piece is text with `▁` for a space, or `<0x0A>` for a byte that no piece has."""
    byte = _BYTE.fullmatch(piece)
    return bytes([int(byte[1], 16)]) if byte else piece.replace("▁", " ").encode()


@cache
def _letters() -> dict[str, int]:
    """GPT-2's letter of each byte (openai/gpt-2, src/encoder.py): itself where it is printable."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(256 + index): byte for index, byte in enumerate(others)
    }


def _byte_level(piece: str) -> bytes:
    """A piece writes each byte as one letter."""
    try:
        return bytes(_letters()[letter] for letter in piece)
    except KeyError:  # an added token, which is written as it is
        return piece.encode()
