"""`onecard chat`: one question and its answer, or a conversation at a terminal."""

from __future__ import annotations

import argparse
import codecs
import locale
import sys
from typing import Any

from onecard_client._cli.parser import (
    URL_VARIABLE,
    RequestOptions,
    add_request_options,
    add_timeout,
    given,
    json_file,
)
from onecard_client._clients.blocking import Client
from onecard_client._conversation import conversation
from onecard_client._conversation.answer_output import as_json, unlike_asked, usage_of, write
from onecard_client._conversation.question import MARK
from onecard_client._output.console import EXIT_FAILED, EXIT_OK, EXIT_USAGE, complain, is_terminal
from onecard_client.chat import ChatStream

REQUEST_OPTIONS: RequestOptions = {
    "max_tokens": (int, "N", "longest answer, in tokens"),
    "min_tokens": (int, "N", "shortest answer, in tokens"),
    "temperature": (float, "T", "0 for the likeliest token every time"),
    "top_p": (float, "P", "sample among the likeliest tokens that have this probability together"),
    "top_k": (int, "K", "sample among this many of the likeliest tokens"),
    "seed": (int, "N", "the same seed gives the same answer"),
    "repetition_penalty": (float, "X", "above 1: tokens seen before are less likely"),
    "presence_penalty": (float, "X", "above 0: tokens of the answer are less likely"),
    "frequency_penalty": (float, "X", "above 0: the more so the more often they came"),
    "priority": (str, "NAME", "high, normal or low"),
    "logprobs": (bool, "", "with --json: each token of the answer, its bytes and log probability"),
}
# How a file says that it is UTF-16 or begins with UTF-8's mark, as Windows writes both.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_EPILOG = f"""\
With TEXT, with something on standard input, or with both (TEXT first), one answer is written as it
comes. With neither, at a terminal, a conversation begins. Several lines that are pasted are one
question there, and so is what stands between {MARK} and {MARK}. Ctrl-C ends an answer, Ctrl-D or
/quit the conversation; what no longer fits the model's context is forgotten, the oldest first.

  cat mail.txt | onecard chat "Summarise this in one sentence."
  onecard chat --json-schema person.json "Ada Lovelace, born in 1815" | python3 -m json.tool

exit codes: 0 answered, also when --max-tokens cut the answer short (standard error says so);
1 failed, not what --json-schema wants, or cut short with it, for then it is not JSON; 2 wrong
usage; 3 no server at the address; 130 interrupted

environment: {URL_VARIABLE} is the server's address if --url is not given
"""


def add(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "chat",
        help="ask the language model",
        usage="onecard chat [OPTION ...] [TEXT ...]",
        description="Ask the language model, once or in a conversation.",
        epilog=_EPILOG,
    )
    parser.add_argument("text", nargs="*", metavar="TEXT", help="what to say")
    parser.add_argument("--system", metavar="TEXT", help="instructions ahead of everything else")
    parser.add_argument(
        "--json-schema", type=json_file, metavar="FILE",
        help="the answer is JSON that this schema allows",
    )  # fmt: skip
    parser.add_argument(
        "--json", action="store_true",
        help="one JSON object at the end: text, finish_reason, usage, engine; problem, logprobs",
    )  # fmt: skip
    parser.add_argument("--usage", action="store_true", help="tokens used, on standard error")
    group = parser.add_argument_group("request", "options of the server")
    add_request_options(group, REQUEST_OPTIONS)
    group.add_argument(
        "--stop", action="append", default=argparse.SUPPRESS, metavar="TEXT",
        help="the answer ends before this text; may be given more than once",
    )  # fmt: skip
    add_timeout(group, "one answer")
    return parser


def verify(options: argparse.Namespace, error: Any) -> None:
    if options.json and not options.text and is_terminal(sys.stdin):
        error("`--json` is for one answer, and a conversation has many; give a TEXT")
    if hasattr(options, "logprobs") and not options.json:
        error("`--logprobs` is shown by `--json` only; give that as well")


def run(client: Client, options: argparse.Namespace) -> int:
    ask = _asker(client, options)
    is_json = options.json_schema is not None
    system = None if options.system is None else _whole_characters(options.system)
    if not options.text and is_terminal(sys.stdin):
        return conversation.run(client, ask, system, usage=options.usage, is_json=is_json)
    text = _text(options.text)
    if not text:
        complain("nothing is asked: give a TEXT, or something on standard input")
        return EXIT_USAGE
    with ask(conversation.messages(system, [], text)) as answer:
        if not options.json:
            write(answer)
        for _ in answer:
            pass  # what is left: all of it with --json
    if options.json:
        print(as_json(answer, logprobs=hasattr(options, "logprobs")))
    if options.usage:
        complain(usage_of(answer))
    return _judge(answer, is_json=is_json)


def _asker(client: Client, options: argparse.Namespace) -> conversation.Ask:
    request = given(options, REQUEST_OPTIONS)
    if hasattr(options, "stop"):
        request["stop"] = options.stop
    if options.json_schema is not None:
        request["response_format"] = {"type": "json_schema", "json_schema": options.json_schema}
    return lambda messages: client.chat(messages, timeout_s=options.timeout_s, **request)


def _text(words: list[str]) -> str:
    parts = [_whole_characters(" ".join(words))]
    if sys.stdin is not None and not is_terminal(sys.stdin):
        parts.append(_decoded(sys.stdin.buffer.read()))
    return "\n\n".join(part for part in parts if part.strip())


def _whole_characters(text: str) -> str:
    """`text` with a replacement for each byte of the command line that was none of its charset."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _decoded(content: bytes) -> str:
    """A file's text: UTF-8, or what its mark says, or the charset that is used here."""
    for mark, charset in _MARKS:
        if content.startswith(mark):
            return content.decode(charset, "replace")
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode(locale.getpreferredencoding(False), "replace")


def _judge(answer: ChatStream, *, is_json: bool) -> int:
    if answer.finish_reason == "stop":
        return EXIT_OK
    complain(unlike_asked(answer, is_json=is_json))
    return EXIT_FAILED if is_json or answer.finish_reason != "length" else EXIT_OK
