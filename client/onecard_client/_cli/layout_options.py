"""The options of `onecard transcribe` that say what subtitles look like."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from typing import Any

from onecard_client._cli.parser import or_none, truth
from onecard_client.subtitles import SubtitleLayout

# Option -> field of SubtitleLayout, the least value, unit, help.
_NUMBERS = {
    "reading-speed": (
        "chars_per_s", 1.0, "CHARS",
        "characters that are read in a second; a cue stays on for it where it can",
    ),
    "min-cue-duration": ("min_duration_s", 0.0, "SECONDS", "shortest cue, where there is time"),
    "max-cue-duration": ("max_duration_s", 0.1, "SECONDS", "longest cue"),
    "min-cue-gap": ("min_gap_s", 0.0, "SECONDS", "between one cue and the next"),
}  # fmt: skip
# What WhisperX lays out by the times of words.
_WHISPERX_LAYOUT = ("max_line_width", "max_line_count", "highlight_words")


def add(group: Any) -> None:
    """Adds them to an argument group."""
    group.add_argument(
        "--max-line-width",
        type=or_none(int),
        metavar="N",
        help="characters in a subtitle's line (default: 42, or 16 of full width)",
    )
    group.add_argument(
        "--max-line-count", type=or_none(int), metavar="N", help="lines in a subtitle (default: 2)"
    )
    group.add_argument(
        "--highlight-words", type=truth, nargs="?", const=True, default=False,
        metavar="True|False", help="underline each word as it is spoken, in srt and vtt",
    )  # fmt: skip
    for option, (field, _, metavar, text) in _NUMBERS.items():
        group.add_argument(
            f"--{option}", dest=field, type=float, metavar=metavar,
            help=f"{text} (default: {getattr(SubtitleLayout, field):.3g})",
        )  # fmt: skip
    group.add_argument(
        "--whisperx-compat", action="store_true",
        help="subtitles as WhisperX writes them to the byte, with its known faults",
    )  # fmt: skip


def layout(namespace: argparse.Namespace) -> SubtitleLayout:
    """The layout that was asked for."""
    numbers = {field: getattr(namespace, field) for field, *_ in _NUMBERS.values()}
    return SubtitleLayout(
        namespace.max_line_width,
        namespace.max_line_count,
        namespace.highlight_words,
        namespace.whisperx_compat,
        **{field: value for field, value in numbers.items() if value is not None},
    )


def faults(namespace: argparse.Namespace) -> Iterator[str]:
    """The faults of the options, a sentence each."""
    unaligned = not getattr(namespace, "align", True) or (
        getattr(namespace, "task", "transcribe") == "translate"
    )
    for name in _WHISPERX_LAYOUT if namespace.whisperx_compat else ("highlight_words",):
        if unaligned and getattr(namespace, name):
            yield (
                f"`--{name.replace('_', '-')}` needs the times of words, and --no-align and "
                "--task translate leave them out; leave out one of the two"
            )
    for option, (field, least, *_) in _NUMBERS.items():
        value = getattr(namespace, field)
        if value is not None and namespace.whisperx_compat:
            yield f"`--{option}` means nothing to WhisperX; leave it or --whisperx-compat out"
        if value is not None and not least <= value < math.inf:
            yield f"`--{option}` is {value:g}, must be a number of at least {least:g}"
    asked = layout(namespace)
    if asked.min_duration_s > asked.max_duration_s:
        yield (
            f"the shortest cue would last {asked.min_duration_s:.3g} s and the longest "
            f"{asked.max_duration_s:.3g} s; give a `--min-cue-duration` below --max-cue-duration"
        )
