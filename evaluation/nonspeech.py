"""`python -m evaluation.nonspeech`: how many words are written per hour in which nobody speaks."""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from build_scripts.errors import BuildError
from evaluation import noises, recordings, report, systems
from evaluation.text import BY_CHARACTER
from onecard_client import Client, OnecardError, Transcript

CLIP_S = 60.0
INTERRUPTED = 130
# Every other clip has one of these, which are never said: what a prompt has comes out in noise.
PROMPTS: Sequence[Mapping[str, str]] = (
    {"language": "en", "initial_prompt": "Glossary: Kubernetes, Triton, Whisper."},
    {"language": "en", "hotwords": "onecard PyTorch"},
    {"initial_prompt": "Good morning, and welcome to the meeting of the board."},
    {"initial_prompt": "Thank you for calling, how can I help you?", "hotwords": "invoice"},
)
HEADINGS = (
    "sound",
    "minutes",
    "words",
    "words/h",
    "of prompted",
    "heard s",
    "dropped s",
    "retried",
)
_MAX_TEXT_CHARS = 100
_QUOTED, _NUMBER = re.compile("`.*`"), re.compile(r"-?\d+(\.\d+)?")


@dataclass(frozen=True)
class Clip:
    """A sound of `evaluation.noises` and the options with which it is transcribed."""

    kind: str
    number: int
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.kind} {self.number}"

    @property
    def is_prompted(self) -> bool:
        return "initial_prompt" in self.options or "hotwords" in self.options


@dataclass(frozen=True)
class ClipResult:
    """What was written for a clip, and what the account says of it.

    Attributes:
        heard_s: seconds that were taken for speech.
        dropped_s: of those, seconds without text.
        reasons: why, with what differs from clip to clip left out.
    """

    clip: Clip
    text: str = ""
    num_words: int = 0
    heard_s: float = 0.0
    dropped_s: float = 0.0
    num_retried: int = 0
    reasons: tuple[str, ...] = ()
    error: str = ""

    @classmethod
    def of(cls, clip: Clip, transcript: Transcript) -> ClipResult:
        account = transcript.account
        reasons = (_NUMBER.sub("N", _QUOTED.sub("`...`", d["reason"])) for d in account.dropped)
        return cls(
            clip, transcript.text, num_words(transcript), account.speech_s, account.dropped_s,
            len(account.retried), tuple(reasons),
        )  # fmt: skip

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "clip": vars(self.clip)}


def num_words(transcript: Transcript) -> int:
    """Words, or characters of languages without spaces; notes and dots count as well."""
    return sum(
        len("".join(segment.text.split()))
        if (segment.language or transcript.language) in BY_CHARACTER
        else len(segment.text.split())
        for segment in transcript.segments
    )


def clips(hours: float, options: Mapping[str, Any], kinds: Sequence[str]) -> list[Clip]:
    """As many of each kind, `hours` at least in sum; every other one with a prompt."""
    num_clips = math.ceil(hours * 3600 / CLIP_S / len(noises.KINDS))
    return [
        Clip(kind, number, {**_prompt(number), **options})
        for kind in kinds
        for number in range(num_clips)
    ]


def _prompt(number: int) -> Mapping[str, str]:
    return PROMPTS[number // 2 % len(PROMPTS)] if number % 2 else {}


def run(client: Client, chosen: Sequence[Clip]) -> Iterator[ClipResult]:
    """What was found in each clip; says which one it is at."""
    for number, clip in enumerate(chosen, start=1):
        audio = recordings.wav(noises.make(clip.kind, clip.number, CLIP_S))
        try:
            transcript = client.transcribe(audio, diarize=False, align=False, **clip.options)
            found = ClipResult.of(clip, transcript)
        except OnecardError as error:  # the next one may do better
            found = ClipResult(clip, error=f"{type(error).__name__}: {error}")
        said = found.error or f"{found.num_words} words"
        print(f"[{number}/{len(chosen)}] {clip.name}: {said}", file=sys.stderr, flush=True)
        yield found


def table(results: Sequence[ClipResult]) -> str:
    """A row for each kind and for all; below it the texts, the reasons and what failed."""
    done = [one for one in results if not one.error]
    kinds = dict.fromkeys(one.clip.kind for one in done)
    rows = [_row(kind, [one for one in done if one.clip.kind == kind]) for kind in kinds]
    lines = report.aligned([HEADINGS, *rows, _row("all", done)])
    lines += [f"{one.clip.name}: {one.text[:_MAX_TEXT_CHARS]!r}" for one in done if one.text]
    reasons = Counter(reason for one in done for reason in one.reasons)
    lines += [f"dropped {count} times: {reason}" for reason, count in reasons.most_common()]
    lines += [f"{one.clip.name} failed: {one.error}" for one in results if one.error]
    return "\n".join(lines)


def _row(name: str, results: Sequence[ClipResult]) -> tuple[str, ...]:
    minutes = len(results) * CLIP_S / 60
    words = sum(one.num_words for one in results)
    return (
        name,
        f"{minutes:.0f}",
        f"{words}",
        f"{60 * words / minutes:.0f}" if minutes else "-",
        f"{sum(one.num_words for one in results if one.clip.is_prompted)}",
        f"{sum(one.heard_s for one in results):.0f}",
        f"{sum(one.dropped_s for one in results):.0f}",
        f"{sum(one.num_retried for one in results)}",
    )


def main(arguments: Sequence[str]) -> int:
    """The exit status: 0, or 1 where the server failed; words are only counted.

    What was found until then is told whatever ends it.
    """
    given = _parser().parse_args(arguments)
    chosen = clips(given.hours, given.options, given.only or list(noises.KINDS))
    found: list[ClipResult] = []
    status = 0
    try:
        with systems.connected(given.url) as client:
            for one in run(client, chosen):
                found.append(one)
    except (OnecardError, BuildError) as error:
        print(f"error: {error}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        print(f"\ninterrupted after {len(found)} of {len(chosen)}", file=sys.stderr)
        status = INTERRUPTED
    if found:
        print(table(found), flush=True)
        if given.json is not None:
            given.json.write_text(json.dumps([one.document() for one in found], indent=2) + "\n")
    return status or int(any(one.error for one in found))


def _options(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"`{text}` is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError(f"`{text}` is no JSON object, such as `{{}}`")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m evaluation.nonspeech", description=__doc__)
    parser.add_argument("--url", help="of a server that runs, host:port; default: one is started")
    parser.add_argument("--hours", type=float, default=1.0, help="in sum (default: 1)")
    parser.add_argument(
        "--only", action="append", choices=list(noises.KINDS), help="may be given several times"
    )
    parser.add_argument(
        "--options", type=_options, default={}, metavar="JSON",
        help="of every request, such as '{\"vad_filter\": false}', with which Whisper hears it all",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="texts as well")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
