"""Speed and errors of each Whisper of plan cpu-models, and of fewer beams, on one server in turn.

Every side gets the same bundled recordings with a reference, with other noise in the last bit in
each round, and answers with text alone: nothing is aligned and nobody told apart. Languages that a
model does not know are left out of its sum.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench import recordings
from bench.interleave import Spread, interleaved, num_rounds, once, ratios, seconds, spread
from bench.serving import serving
from build_scripts import paths
from build_scripts.errors import BuildError
from evaluation import bundled
from evaluation import recordings as files
from evaluation.manifest import Entry
from evaluation.metrics import Counts, word_errors
from onecard_client import Client

PLAN = "cpu-models"
ROUNDS = 3
TIMEOUT_S = 1800.0
USUAL = "base_5"  # the plan's first model and beams: what the others are compared with
# Name of the side -> options.
SIDES: Mapping[str, Mapping[str, Any]] = {
    USUAL: {"model": "base", "beam_size": 5},
    "base_3": {"model": "base", "beam_size": 3},
    "base_2": {"model": "base", "beam_size": 2},
    "base_1": {"model": "base", "beam_size": 1},
    "tiny_en_5": {"model": "tiny.en", "beam_size": 5},
    "tiny_en_1": {"model": "tiny.en", "beam_size": 1},
}
ENGLISH = "en"


@dataclass
class Side:
    """One model with one width of beam: what it was asked for, and what it has said so far."""

    client: Client
    options: Mapping[str, Any]
    errors: Counts = field(default_factory=Counts)

    def transcribe(self, entries: Sequence[Entry]) -> float:
        """Seconds for all recordings, one after another; their errors are added up."""
        clips = [files.wav(recordings.fresh(files.read(entry.audio))) for entry in entries]
        said: list[str] = []

        def work() -> None:
            for entry, clip in zip(entries, clips, strict=True):
                found = self.client.transcribe(
                    clip, language=entry.language, align=False, diarize=False,
                    timeout_s=TIMEOUT_S, **self.options,
                )  # fmt: skip
                said.append(found.text)

        took_s = seconds(work)
        for entry, text in zip(entries, said, strict=True):
            assert entry.texts is not None
            self.errors += word_errors(entry.texts, text, entry.language or ENGLISH)
        return took_s


def measure() -> dict[str, Any]:
    """By side: seconds of audio a second, words wrong, and both beside the usual one's."""
    with tempfile.TemporaryDirectory() as folder, _planned(), serving() as server:
        # The dictations are in the first recording too.
        entries = [
            one
            for one in bundled.entries(Path(folder))
            if one.texts is not None and one.id not in bundled.DICTATIONS
        ]
        english = [one for one in entries if one.language == ENGLISH]
        others = [one for one in entries if one.language != ENGLISH]
        sides = {name: Side(server.client, options) for name, options in SIDES.items()}
        for side in sides.values():
            side.transcribe(english[-1:])  # the first of its kind, which does not count
            side.errors = Counts()
        took = interleaved(
            {name: partial(side.transcribe, english) for name, side in sides.items()},
            num_rounds(ROUNDS),
            warmups=0,
        )
        of_english = {name: side.errors for name, side in sides.items()}
        for name, side in sides.items():
            side.errors = Counts()
            if name.startswith("base"):
                side.transcribe(others)
    audio_s = sum(len(files.read(entry.audio)) for entry in english) / files.RATE
    found = {
        name: {
            "options": dict(SIDES[name]),
            "speed": spread([audio_s / one for one in took[name]]),
            "speed_ratio": spread(ratios(took[USUAL], took[name])),
            "wer": once(of_english[name].rate),
            "errors": _told(of_english[name]),
            "others": _told(sides[name].errors),
        }
        for name in SIDES
    }
    print(_table(found), flush=True)
    return {"audio_s": audio_s, "recordings": len(english), **found}


def _told(counts: Counts) -> dict[str, float] | None:
    """Words that are wrong, of how many; None where none was said."""
    if not counts.total:
        return None
    return {"errors": counts.errors, "words": counts.total, "wer": counts.rate}


def _table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The table of docs/quality.md."""
    lines = [
        "| model | beams | s of English a second | times base's with 5 beams | WER, English "
        "| WER, four other languages |",
        "|---|---|---|---|---|---|",
    ]
    for side in found.values():
        options, others = side["options"], side["others"]
        cells = [
            options["model"],
            str(options["beam_size"]),
            _spread(side["speed"], 1),
            _spread(side["speed_ratio"], 2),
            f"{side['wer']['median']:.3f}",
            f"{others['wer']:.3f}" if others else "does not know them",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(figure: Spread, digits: int) -> str:
    low, high = f"{figure['low']:.{digits}f}", f"{figure['high']:.{digits}f}"
    return f"{figure['median']:.{digits}f} ({low} to {high})"


@contextmanager
def _planned() -> Iterator[None]:
    """While this is held, a server that starts serves PLAN. Raises BuildError without engines."""
    if not (paths.ROOT / "engines" / PLAN / "llm" / "manifest.json").is_file():
        raise BuildError(f"engines/{PLAN} is not made yet: `make engines PLAN={PLAN}`")
    before = os.environ.get("PLAN")
    os.environ["PLAN"] = PLAN
    try:
        yield
    finally:
        os.environ.pop("PLAN")
        if before is not None:
            os.environ["PLAN"] = before
