"""How an answer of the language model is shown: as it comes, what it cost, why it is not whole.

It knows terminals and what an answer has; it does not know who asked.
"""

from __future__ import annotations

import sys

from onecard_client._console import printable
from onecard_client.chat import ChatStream


def write(answer: ChatStream) -> None:
    """Writes an answer as it comes, and ends its line; a terminal gets nothing that it would
    obey."""
    shown = printable if sys.stdout.isatty() else str
    last = ""
    for piece in answer:
        last = shown(piece)
        sys.stdout.write(last)
        sys.stdout.flush()
    if not last.endswith("\n"):
        print(flush=True)


def usage_of(answer: ChatStream) -> str:
    usage = answer.usage
    if usage is None:
        return "the server did not say what the answer cost"
    used = f"{usage.prompt_tokens} tokens in, {usage.completion_tokens} out"
    return f"{used}; {usage.total_tokens} of {usage.context_tokens} tokens of context"


def cut_short(answer: ChatStream, *, is_json: bool) -> str:
    """Why an answer is not whole, and what to do."""
    if answer.finish_reason != "length":
        return f"the answer ended with `{answer.finish_reason}`, must end with `stop`; ask again"
    loss = ", hence is not JSON" if is_json else ""
    return f"the answer was cut short by `--max-tokens`{loss}; ask with more of them"
