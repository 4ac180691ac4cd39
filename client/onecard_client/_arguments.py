"""The command line's options: WhisperX's names, and onecard's additions.

It knows how options are spelt and which reach the server; their values are the server's to judge.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from onecard_client import __version__
from onecard_client._channel import DEFAULT_URL
from onecard_client._client import DEFAULT_TIMEOUT_S
from onecard_client.writers import ALL_FORMATS, WRITERS

URL_VARIABLE = "ONECARD_URL"
STDIN = "-"

_PLAN = "models and devices are chosen by the server's plan (plans/*.toml), not by a request"
# WhisperX's options that a request cannot decide, each with the reason.
REFUSED = {
    "model": _PLAN,
    "model_cache_only": _PLAN,
    "model_dir": _PLAN,
    "device": _PLAN,
    "device_index": _PLAN,
    "batch_size": _PLAN,
    "compute_type": _PLAN,
    "align_model": _PLAN,
    "diarize_model": _PLAN,
    "threads": _PLAN,
    "fp16": _PLAN,
    "hf_token": "the server has its models already and needs no token",
    "patience": "the engines search with patience 1.0",
    "condition_on_previous_text": "chunks are transcribed side by side, so it is always False",
    "segment_resolution": "segments are sentences; WhisperX does not read this option either",
    "log_level": "use `--verbose False` for errors only",
}
_WORD_LAYOUT = ("max_line_width", "max_line_count", "highlight_words")

_EPILOG = f"""\
Names are WhisperX's; dashes and underscores are the same. Options that are not given have the
server's defaults. Files are transcribed one after another, and one that fails does not stop the
others. Results appear under their final names only when they are complete.

exit codes: 0 every file is done, 1 some file failed, 2 wrong usage, 3 no server at the address,
130 interrupted

environment: {URL_VARIABLE} is the server's address if --url is not given
"""


class _Refuse(argparse.Action):
    def __call__(
        self, parser: argparse.ArgumentParser, namespace: object, values: object, option: Any = None
    ) -> NoReturn:
        parser.error(f"`{option}` is not an option here: {REFUSED[self.dest]}; leave it out")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line as a namespace with `command`, or SystemExit with code 2 or 0."""
    parser = _parser()
    namespace = parser.parse_args(_with_dashes(arguments))
    if namespace.command == "transcribe":
        _verify(namespace, namespace.error)
    return namespace


def request_options(namespace: argparse.Namespace) -> dict[str, Any]:
    """The options that the caller gave and that are the server's to read."""
    return {
        name: value
        for name, value in vars(namespace).items()
        if name in _REQUEST_OPTIONS or name == "align"
    }


def _with_dashes(arguments: Sequence[str]) -> list[str]:
    """`--output_dir=a_b` as `--output-dir=a_b`; nothing behind a lone `--` is touched."""
    spelt: list[str] = []
    for index, argument in enumerate(arguments):
        if argument == "--":
            return spelt + list(arguments[index:])
        name, equals, value = argument.partition("=")
        if name.startswith("--"):
            argument = name.replace("_", "-") + equals + value
        spelt.append(argument)
    return spelt


def _verify(namespace: argparse.Namespace, error: Any) -> None:
    unaligned = not getattr(namespace, "align", True) or (
        getattr(namespace, "task", "transcribe") == "translate"
    )
    for name in _WORD_LAYOUT:
        if unaligned and getattr(namespace, name):
            option = "--" + name.replace("_", "-")
            error(
                f"`{option}` needs the times of words, and --no-align and --task translate "
                "leave them out; leave out one of the two"
            )
    if namespace.files.count(STDIN) > 1:
        error("standard input (`-`) is given twice, can be read once; name it once")
    by_name: dict[str, str] = {}
    for file in namespace.files:
        other = by_name.setdefault(output_stem(file), file)
        if other is not file:
            error(
                f"`{other}` and `{file}` would both be written as `{output_stem(file)}.*`; "
                "transcribe them into different --output-dir"
            )


def output_stem(file: str) -> str:
    """A result's file name without its extension."""
    return "stdin" if file == STDIN else Path(file).stem


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="onecard",
        description="Transcribe speech with word times and speakers on a onecard server.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", "-V", action="version", version=f"onecard {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    transcribe = commands.add_parser(
        "transcribe",
        help="transcribe audio files",
        usage="onecard transcribe [OPTION ...] FILE [FILE ...]",
        description="Transcribe audio or video files and write the results beside each other.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_transcribe(transcribe)
    transcribe.set_defaults(error=transcribe.error)
    status = commands.add_parser("status", help="show the server's models and versions")
    status.add_argument("--json", action="store_true", help="as one JSON object")
    for command in (transcribe, status):
        command.add_argument(
            "--url",
            default=os.environ.get(URL_VARIABLE) or DEFAULT_URL,
            help="the server's gRPC address, host:port, or grpcs://host:port for TLS "
            f"(default: {URL_VARIABLE} or {DEFAULT_URL})",
        )
    return parser


def _add_transcribe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="audio or video; `-` for standard input"
    )
    _add_output(parser.add_argument_group("output"))
    group = parser.add_argument_group("request", "options of the server")
    for name, (kind, metavar, text) in _REQUEST_OPTIONS.items():
        option = "--" + name.replace("_", "-")
        flag: dict[str, Any] = {"action": "store_true"}
        if name == "diarize":
            flag = {"action": argparse.BooleanOptionalAction}
        valued: dict[str, Any] = {"type": kind, "metavar": metavar}
        extra = flag if kind is bool else valued
        group.add_argument(option, dest=name, default=argparse.SUPPRESS, help=text, **extra)
    group.add_argument(
        "--align",
        action=argparse.BooleanOptionalAction,
        default=argparse.SUPPRESS,
        help="times for words (default: on)",
    )
    for name in REFUSED:
        option = "--" + name.replace("_", "-")
        parser.add_argument(
            option, dest=name, nargs="?", action=_Refuse,
            default=argparse.SUPPRESS, help=argparse.SUPPRESS,
        )  # fmt: skip


def _add_output(group: Any) -> None:
    group.add_argument(
        "--output-dir", "-o", type=Path, default=Path(), metavar="DIR",
        help="where results go; made if missing (default: here)",
    )  # fmt: skip
    group.add_argument(
        "--output-format", "-f", choices=("all", *WRITERS), default="all",
        help=f"`all` is {', '.join(ALL_FORMATS)} (default: all)",
    )  # fmt: skip
    group.add_argument(
        "--max-line-width", type=_or_none(int), metavar="N", help="characters in a subtitle's line"
    )
    group.add_argument(
        "--max-line-count", type=_or_none(int), metavar="N", help="lines in a subtitle"
    )
    group.add_argument(
        "--highlight-words", type=_truth, nargs="?", const=True, default=False,
        metavar="True|False", help="underline each word as it is spoken, in srt and vtt",
    )  # fmt: skip
    group.add_argument(
        "--whisperx-compat", action="store_true",
        help="subtitles as WhisperX writes them to the byte, with its known faults",
    )  # fmt: skip
    group.add_argument(
        "--timeout-s", type=float, default=DEFAULT_TIMEOUT_S, metavar="SECONDS",
        help=f"time for one file (default: {DEFAULT_TIMEOUT_S:.0f})",
    )  # fmt: skip
    group.add_argument(
        "--verbose", type=_truth, default=True, metavar="True|False",
        help="False: nothing but errors (default: True)",
    )  # fmt: skip
    group.add_argument(
        "--print-progress", type=_truth, nargs="?", const=True, default=None, metavar="True|False",
        help="progress on standard error (default: a bar on a terminal, else a line per stage)",
    )  # fmt: skip


def _truth(text: str) -> bool:
    known = {"true": True, "false": False}
    if text.lower() not in known:
        raise argparse.ArgumentTypeError(
            f"`{text}` is given, must be True or False; as in `--highlight-words True FILE`"
        )
    return known[text.lower()]


def _or_none(kind: type[int] | type[float]) -> Any:
    def convert(text: str) -> int | float | None:
        return None if text == "None" else kind(text)

    convert.__name__ = kind.__name__  # argparse puts it into its message
    return convert


# name: (type, placeholder, help); the server's `TranscribeOptions` has the defaults and limits.
_REQUEST_OPTIONS: dict[str, tuple[Any, str, str]] = {
    "language": (str, "CODE", "language spoken, such as en; detected if not given"),
    "task": (str, "TASK", "transcribe, or translate into English"),
    "diarize": (bool, "", "tell speakers apart (default: on)"),
    "num_speakers": (int, "N", "how many speakers there are"),
    "min_speakers": (int, "N", "at least so many speakers"),
    "max_speakers": (int, "N", "at most so many speakers"),
    "speaker_embeddings": (bool, "", "one vector per speaker in the JSON"),
    "initial_prompt": (str, "TEXT", "text that the speech continues"),
    "hotwords": (str, "TEXT", "words to expect"),
    "suppress_tokens": (str, "IDS", "token ids never to write, with commas between"),
    "suppress_numerals": (bool, "", "write numbers as words"),
    "beam_size": (_or_none(int), "N", "beams in the search"),
    "best_of": (_or_none(int), "N", "candidates when sampling"),
    "temperature": (float, "T", "sampling temperature"),
    "temperature_increment_on_fallback": (
        _or_none(float),
        "T",
        "raise the temperature by this when decoding fails; None for no second try",
    ),
    "length_penalty": (float, "X", "penalty for length in the search"),
    "repetition_penalty": (float, "X", "penalty for repetition"),
    "compression_ratio_threshold": (
        _or_none(float),
        "X",
        "text that compresses better than this has failed",
    ),
    "logprob_threshold": (_or_none(float), "X", "a lower average log-probability has failed"),
    "no_speech_threshold": (_or_none(float), "X", "a failed chunk with more than this is silence"),
    "vad_method": (str, "NAME", "voice activity detection: pyannote or silero"),
    "vad_onset": (float, "X", "speech begins above this score"),
    "vad_offset": (float, "X", "speech ends below this score"),
    "chunk_size": (float, "SECONDS", "longest chunk given to Whisper, at most 30"),
    "interpolate_method": (str, "NAME", "times of words without: nearest, linear or ignore"),
    "return_char_alignments": (bool, "", "times of characters in the JSON"),
    "encoding": (str, "NAME", "raw PCM instead of a file: pcm_s16le or pcm_f32le"),
    "sample_rate": (int, "HZ", "of raw PCM"),
    "channels": (int, "N", "of raw PCM"),
}
