"""Speed and errors of each Whisper of plan cpu-models, and of fewer beams, on one server in turn.

Every side gets the same bundled recordings with a reference, with other noise in the last bit in
each round, and answers with text alone: nothing is aligned and nobody told apart. Languages that a
model does not know are left out of its sum. At the end two Whispers on demand are asked for in
turn, each of which is loaded in place of the other.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench import recordings, turns
from bench.interleave import Spread, interleaved, num_rounds, once, ratios, seconds, spread
from bench.serving import serving
from build_scripts import paths
from build_scripts.errors import BuildError
from build_scripts.server.temporary import told
from evaluation import bundled
from evaluation import recordings as files
from evaluation.manifest import Entry
from evaluation.metrics import Counts, word_errors
from onecard_client import Client

PLAN = "cpu-models"
ROUNDS = 3
SWITCHES = 5
TIMEOUT_S = 1800.0
USUAL = "base_5"  # the plan's first model and beams: what the others are compared with
# Name of the side -> options.
SIDES: Mapping[str, Mapping[str, Any]] = {
    USUAL: {"model": "base", "beam_size": 5},
    "base_3": {"model": "base", "beam_size": 3},
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

    def warm_up(self) -> None:
        """The first request of its kind, which does not count."""
        self._text(files.wav(files.jfk().samples), ENGLISH)

    def transcribe(self, entries: Sequence[Entry]) -> float:
        """Seconds for all recordings, one after another; their errors are added up."""
        clips = [files.wav(recordings.fresh(files.read(entry.audio))) for entry in entries]
        said: list[str] = []

        def work() -> None:
            for entry, clip in zip(entries, clips, strict=True):
                said.append(self._text(clip, entry.language))

        took_s = seconds(work)
        for entry, text in zip(entries, said, strict=True):
            assert entry.texts is not None
            self.errors += word_errors(entry.texts, text, entry.language or ENGLISH)
        return took_s

    def _text(self, clip: bytes, language: str | None) -> str:
        found = self.client.transcribe(
            clip, language=language, align=False, diarize=False, timeout_s=TIMEOUT_S,
            **self.options,
        )  # fmt: skip
        return found.text


def measure() -> dict[str, Any]:
    """By side: seconds of audio a second, words wrong, and both beside the usual one's."""
    with tempfile.TemporaryDirectory() as folder, _planned(Path(folder)), serving() as server:
        english, others = _entries(Path(folder))
        audio_s = sum(len(files.read(entry.audio)) for entry in english) / files.RATE
        sides = {name: Side(server.client, options) for name, options in SIDES.items()}
        for side in sides.values():
            side.warm_up()
        took = interleaved(
            {name: partial(side.transcribe, english) for name, side in sides.items()},
            num_rounds(ROUNDS),
            warmups=0,
        )
        of_english = {name: side.errors for name, side in sides.items()}
        of_others = {name: _in_others(side, others) for name, side in sides.items()}
        clip = files.wav(files.jfk().samples)
        switches = turns.switches(server.client, clip, num_rounds(SWITCHES))
    found = {
        name: {
            "options": dict(SIDES[name]),
            "speed": spread([audio_s / one for one in took[name]]),
            "speed_ratio": spread(ratios(took[USUAL], took[name])),
            "wer": once(of_english[name].rate),
            "errors": _told(of_english[name]),
            "others": _told(of_others[name]),
        }
        for name in SIDES
    }
    table = _table(found)
    print(table, flush=True)
    said = [f"a switch to {name} takes {_spread(took, 2)} s" for name, took in switches.items()]
    print("\n".join(f"  {one}" for one in said), flush=True)
    more = {"switch_s": switches, "table": table, "said": said}
    return {"audio_s": audio_s, "recordings": len(english), **found, **more}


def _entries(folder: Path) -> tuple[list[Entry], list[Entry]]:
    """Recordings of English and of other languages; the dictations are in the first one too."""
    known = [
        one
        for one in bundled.entries(folder)
        if one.texts is not None and one.id not in bundled.DICTATIONS
    ]
    english = [one for one in known if one.language == ENGLISH]
    return english, [one for one in known if one.language != ENGLISH]


def _in_others(side: Side, entries: Sequence[Entry]) -> Counts:
    """Errors in other languages than English; none of a model that knows no other."""
    side.errors = Counts()
    if not side.options["model"].endswith(".en"):
        side.transcribe(entries)
    return side.errors


def _told(counts: Counts) -> dict[str, float] | None:
    """Words that are wrong, of how many; None where none was said."""
    if not counts.total:
        return None
    return {"errors": counts.errors, "words": counts.total, "wer": counts.rate}


def _table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The table of docs/quality.md."""
    lines = [
        "| model | beams | s of English a second | times base's with 5 beams | WER, English "
        "| WER, four other languages |",
        "|---|---|---|---|---|---|",
    ]
    for side in results.values():
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
def _planned(folder: Path) -> Iterator[None]:
    """While this is held, a server that starts serves PLAN, with Whispers on demand beside it.

    Raises BuildError without engines.
    """
    if not (paths.ROOT / "engines" / PLAN / "llm" / "manifest.json").is_file():
        raise BuildError(f"engines/{PLAN} is not made yet: `make engines PLAN={PLAN}`")
    repository = turns.write_repository(turns.with_turns(PLAN), folder)
    with told("PLAN", PLAN), told("REPOSITORY", str(repository)):
        yield
