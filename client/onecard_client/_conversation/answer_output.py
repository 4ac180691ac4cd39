"""Shows an answer of the language model as it comes, its cost, and why it is incomplete."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from onecard_client._answers.documents import encode
from onecard_client._errors import OnecardError
from onecard_client._output.console import escaped, is_terminal, printable
from onecard_client.chat import ChatStream

# What a text may have and UTF-8 has not: halves of characters beyond the first 65,536.
_HALVES = {code: "\ufffd" for code in range(0xD800, 0xE000)}


def write(answer: ChatStream) -> None:
    """Writes an answer as it comes, and ends its line; a terminal gets nothing that it would
    obey."""
    is_shown = is_terminal(sys.stdout)
    last = ""
    try:
        for piece in _whole_line_ends(answer):
            text = _writable(printable(piece) if is_shown else piece)
            sys.stdout.write(text)
            sys.stdout.flush()
            last = text or last
    except (OnecardError, KeyboardInterrupt) as error:
        is_amid_line = not last.endswith("\n") if last else isinstance(error, KeyboardInterrupt)
        if is_shown and is_amid_line:
            print(flush=True)
        raise
    if not last.endswith("\n"):
        print(flush=True)


def _whole_line_ends(pieces: Iterable[str]) -> Iterator[str]:
    """The same text, without a piece that ends between CR and LF."""
    held = ""
    for piece in pieces:
        text = held + piece
        held = "\r" if text.endswith("\r") else ""
        yield text.removesuffix("\r")
    yield held


def as_json(answer: ChatStream, *, logprobs: bool) -> str:
    """An answer in one line, with escapes for all that a terminal would obey."""
    document: dict[str, Any] = {
        "text": answer.text,
        "finish_reason": answer.finish_reason,
        "usage": encode(answer.usage),
        "engine": answer.engine,
    }
    if answer.problem is not None:
        document["problem"] = answer.problem
    if logprobs:
        document["logprobs"] = encode(answer.logprobs)
    return json_line(document)


def json_line(document: Any) -> str:
    """JSON for people: letters as they are, where the output's charset has them."""
    line = escaped(json.dumps(document, ensure_ascii=False))
    return line if _writable(line) == line else json.dumps(document)


def usage_of(answer: ChatStream) -> str:
    usage = answer.usage
    if usage is None:
        return "the server did not say what the answer cost"
    used = f"{usage.prompt_tokens} tokens in, {usage.completion_tokens} out"
    return f"{used}; {usage.total_tokens} of {usage.context_tokens} tokens of context"


def unlike_asked(answer: ChatStream, *, is_json: bool) -> str:
    """Why an answer is not what was asked for, and what to do."""
    if answer.finish_reason == "length":
        loss = ", hence is not JSON" if is_json else ""
        return f"the answer was cut short by `--max-tokens`{loss}; ask with more of them"
    if answer.finish_reason == "invalid":
        problem = answer.problem or "the server does not say where"
        return f"the answer is not what the schema wants ({problem}); ask again, or simplify it"
    return f"the answer ended with `{answer.finish_reason}`, must end with `stop`; ask again"


def _writable(text: str) -> str:
    """`text` as the output's charset has it."""
    charset = sys.stdout.encoding or "utf-8"
    return text.translate(_HALVES).encode(charset, "backslashreplace").decode(charset)
