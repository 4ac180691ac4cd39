"""Reads the options of every command; errors name the nearest option."""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from onecard_client._clients.blocking import DEFAULT_TIMEOUT_S
from onecard_client._output.console import printable
from onecard_client._transport.channel import DEFAULT_URL

URL_VARIABLE = "ONECARD_URL"
# name: (type, placeholder, help); the server has the defaults and limits.
RequestOptions = Mapping[str, tuple[Any, str, str]]
# Other programs' names of what is here by another one; the server has more (`option_names`).
OTHER_NAMES = {
    "chunk_length": "chunk-size",
    "diarization": "diarize",
    "entropy_thold": "compression-ratio-threshold",
    "lang": "language",
    "log_prob_threshold": "logprob-threshold",
    "logprob_thold": "logprob-threshold",
    "num_beams": "beam-size",
    "prompt": "initial-prompt",
    "speakers": "num-speakers",
    "translate": "task",
    "vad": "vad-filter",
    "vad_threshold": "vad-onset",
    "word_timestamps": "align",
}
_CERTIFICATES = {
    "root-certificates": "to verify a server behind TLS with",
    "certificate-chain": "of your own certificate, for a server that asks for one",
    "private-key": "of its key",
}
# Two names are alike by difflib's ratio from here on; `--max-new-tokens` and `--max-speakers` not.
_ALIKE = 0.75
_BARE_OPTION = re.compile(r"--[\w-]+")
_NEGATIVE_LIST = re.compile(r"-\d+(\s*,\s*-?\d+)+")


class Parser(argparse.ArgumentParser):
    """The parser of one command; options cannot be abbreviated, so that new ones break nothing."""

    def __init__(self, **arguments: Any) -> None:
        arguments.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **arguments)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Exits with a printable message; argparse quotes arguments, such as names of files."""
        super().exit(status, None if message is None else printable(message))

    def faults(self, unknown: Sequence[str]) -> list[str]:
        """The faults of unknown arguments, a sentence for each."""
        options = [argument for argument in unknown if argument.startswith("-")]
        if unknown and not options:
            return [f"`{unknown[0]}` is one argument too many; leave it out, or quote a text"]
        names = dict.fromkeys(option.partition("=")[0] for option in options)
        return [f"`{name}` is not an option here; {self._hint(name)}" for name in names]

    def _hint(self, name: str) -> str:
        known = self._option_string_actions
        meant = "--" + OTHER_NAMES.get(name.strip("-").replace("-", "_"), "")
        if meant in known:
            return f"it is `{meant}` here"
        near = difflib.get_close_matches(name, known, n=1, cutoff=_ALIKE)
        return f"did you mean `{near[0]}`?" if near else f"`{self.prog} --help` lists all"


def with_dashes(arguments: Sequence[str]) -> list[str]:
    """`--output_dir=a_b` as `--output-dir=a_b`; nothing behind a lone `--` is touched.

    A list of numbers that begins with a minus is joined to the option before it, which argparse
    would take for another option: `--suppress_tokens -1,50`.
    """
    spelt: list[str] = []
    for index, argument in enumerate(arguments):
        if argument == "--":
            return spelt + list(arguments[index:])
        if _NEGATIVE_LIST.fullmatch(argument) and spelt and _BARE_OPTION.fullmatch(spelt[-1]):
            spelt[-1] += "=" + argument
            continue
        name, equals, value = argument.partition("=")
        if name.startswith("--"):
            argument = name.replace("_", "-") + equals + value
        spelt.append(argument)
    return spelt


class _Addresses(argparse.Action):
    """Notes each address that is given, and the first as the one."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option: str | None = None,
    ) -> None:
        namespace.urls = [*getattr(namespace, "urls", ()), values]
        namespace.url = namespace.urls[0]


def add_url(parser: argparse.ArgumentParser, *, is_repeatable: bool = False) -> None:
    several = "; more than once for several servers, which share the files, or dns:///host:port "
    several += "for all that a name stands for"
    parser.add_argument(
        "--url",
        default=os.environ.get(URL_VARIABLE) or DEFAULT_URL,
        action=_Addresses if is_repeatable else "store",
        help="the server's gRPC address, host:port, or grpcs://host:port for TLS"
        f"{several if is_repeatable else ''} (default: {URL_VARIABLE} or {DEFAULT_URL})",
    )
    for name, what in _CERTIFICATES.items():
        variable = f"ONECARD_{name.upper().replace('-', '_')}"
        parser.add_argument(
            f"--{name}", default=os.environ.get(variable) or None, metavar="FILE",
            help=f"PEM file {what} (default: {variable})",
        )  # fmt: skip


def addresses(namespace: argparse.Namespace) -> list[str]:
    """The addresses of all servers, once each."""
    return list(dict.fromkeys(getattr(namespace, "urls", [namespace.url])))


def add_timeout(group: Any, what: str) -> None:
    group.add_argument(
        "--timeout-s", type=float, default=DEFAULT_TIMEOUT_S, metavar="SECONDS",
        help=f"time for {what} (default: {DEFAULT_TIMEOUT_S:.0f})",
    )  # fmt: skip


def add_verbosity(group: Any) -> None:
    group.add_argument(
        "--verbose", type=truth, default=True, metavar="True|False",
        help="False: nothing but errors (default: True)",
    )  # fmt: skip
    group.add_argument(
        "--print-progress", type=truth, nargs="?", const=True, default=None, metavar="True|False",
        help="progress on standard error (default: a bar on a terminal, else a line per stage)",
    )  # fmt: skip


def add_request_options(group: Any, options: RequestOptions) -> None:
    """Options that are left out of the namespace unless they are given."""
    for name, (kind, metavar, text) in options.items():
        flag: dict[str, Any] = {"action": "store_true"}
        valued: dict[str, Any] = {"type": kind, "metavar": metavar}
        group.add_argument(
            "--" + name.replace("_", "-"), dest=name, default=argparse.SUPPRESS, help=text,
            **(flag if kind is bool else valued),
        )  # fmt: skip


def given(namespace: argparse.Namespace, options: RequestOptions) -> dict[str, Any]:
    """The options among `options` that the caller gave."""
    return {name: value for name, value in vars(namespace).items() if name in options}


def truth(text: str) -> bool:
    known = {"true": True, "false": False}
    if text.lower() not in known:
        raise argparse.ArgumentTypeError(
            f"`{text}` is given, must be True or False; as in `--highlight-words True FILE`"
        )
    return known[text.lower()]


def or_none(kind: type[int] | type[float]) -> Any:
    def convert(text: str) -> int | float | None:
        return None if text == "None" else kind(text)

    convert.__name__ = kind.__name__  # argparse puts it into its message
    return convert


def names(text: str) -> list[str]:
    """`one, two` as a list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def text_or_file(text: str) -> str:
    """The text itself, or what is in the file behind an `@`."""
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise argparse.ArgumentTypeError(
            f"`{text}` cannot be read ({error}), must be a text or `@` and a file of UTF-8 text"
        ) from error


def json_file(path: str) -> Any:
    """The content of a file of JSON."""
    try:
        return json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(
            f"`{path}` cannot be read ({error}), must be a file of JSON"
        ) from error
