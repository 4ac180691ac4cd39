"""The options of `onecard transcribe`: WhisperX's names, and onecard's additions.

It knows how options are spelt and which reach the server; their values are the server's to judge.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NoReturn

from onecard_client._languages import language_code
from onecard_client._parser import (
    URL_VARIABLE,
    RequestOptions,
    add_request_options,
    add_timeout,
    add_verbosity,
    given,
    or_none,
    truth,
)
from onecard_client.writers import ALL_FORMATS, WRITERS

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

EPILOG = f"""\
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


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="audio or video; `-` for standard input"
    )
    _add_output(parser.add_argument_group("output"))
    group = parser.add_argument_group("request", "options of the server")
    add_request_options(group, REQUEST_OPTIONS)
    for name, text in SWITCHES.items():
        group.add_argument(
            f"--{name}", action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=text
        )
    for name in REFUSED:
        option = "--" + name.replace("_", "-")
        parser.add_argument(
            option, dest=name, nargs="?", action=_Refuse,
            default=argparse.SUPPRESS, help=argparse.SUPPRESS,
        )  # fmt: skip


def request_options(namespace: argparse.Namespace) -> dict[str, Any]:
    """The options that the caller gave and that are the server's to read."""
    switches = {name: value for name, value in vars(namespace).items() if name in SWITCHES}
    return given(namespace, REQUEST_OPTIONS) | switches


def verify(namespace: argparse.Namespace, error: Any) -> None:
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
        "--max-line-width", type=or_none(int), metavar="N", help="characters in a subtitle's line"
    )
    group.add_argument(
        "--max-line-count", type=or_none(int), metavar="N", help="lines in a subtitle"
    )
    group.add_argument(
        "--highlight-words", type=truth, nargs="?", const=True, default=False,
        metavar="True|False", help="underline each word as it is spoken, in srt and vtt",
    )  # fmt: skip
    group.add_argument(
        "--whisperx-compat", action="store_true",
        help="subtitles as WhisperX writes them to the byte, with its known faults",
    )  # fmt: skip
    add_timeout(group, "one file")
    add_verbosity(group)


SWITCHES = {
    "align": "times for words (default: on)",
    "diarize": "tell speakers apart (default: on)",
}
# The server's `TranscribeOptions`, but for the two that can be switched off as well.
REQUEST_OPTIONS: RequestOptions = {
    "language": (language_code, "CODE", "language spoken, such as en; detected if not given"),
    "task": (str, "TASK", "transcribe, or translate into English"),
    "num_speakers": (int, "N", "how many speakers there are"),
    "min_speakers": (int, "N", "at least so many speakers"),
    "max_speakers": (int, "N", "at most so many speakers"),
    "speaker_embeddings": (bool, "", "one vector per speaker in the JSON"),
    "initial_prompt": (str, "TEXT", "text that the speech continues"),
    "hotwords": (str, "TEXT", "words to expect"),
    "suppress_tokens": (str, "IDS", "token ids never to write, with commas between"),
    "suppress_numerals": (bool, "", "write numbers as words"),
    "beam_size": (or_none(int), "N", "beams in the search"),
    "best_of": (or_none(int), "N", "candidates when sampling"),
    "temperature": (float, "T", "sampling temperature"),
    "temperature_increment_on_fallback": (
        or_none(float),
        "T",
        "raise the temperature by this when decoding fails; None for no second try",
    ),
    "length_penalty": (float, "X", "penalty for length in the search"),
    "repetition_penalty": (float, "X", "penalty for repetition"),
    "compression_ratio_threshold": (
        or_none(float),
        "X",
        "text that compresses better than this has failed",
    ),
    "logprob_threshold": (or_none(float), "X", "a lower average log-probability has failed"),
    "no_speech_threshold": (or_none(float), "X", "a failed chunk with more than this is silence"),
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
