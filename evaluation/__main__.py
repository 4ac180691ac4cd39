"""`python -m evaluation [MANIFEST]`: transcribe what has references, and count the errors."""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from build_scripts.errors import BuildError
from evaluation import bundled, manifest, recordings, report, systems
from evaluation.manifest import Entry, ManifestError
from evaluation.peers.protocol import PeerError
from evaluation.report import Score
from evaluation.systems import Transcribe
from onecard_client import OnecardError

DESCRIPTION = """\
Word error rate, error of word starts, diarization error rate and cpWER of a running server, or of
one started for it, over recordings with references."""
EPILOG = """\
MANIFEST is a folder of audio (`a.wav` with `a.txt`, `a.rttm`, `a.TextGrid` beside it, whichever
there are), or a file with a JSON object in each line: `audio`, and what is known of `id`,
`language`, `text`, `words`, `turns` or `rttm`, `segments`. docs/quality.md says what each means."""
INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """The exit status: 0, 2 where what is given is wrong, 1 where the system or a recording fails.

    What was counted until then is reported whatever ends it.
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.json is not None and (reason := _unwritable(given.json)):
        parser.error(f"--json {given.json}: {reason}")
    scores: list[Score] = []
    entries: list[Entry] = []
    status = 0
    with tempfile.TemporaryDirectory() as folder:
        try:
            entries = _entries(given.manifest, given.only, Path(folder))
            with _system(given) as transcribe:
                for score in run(entries, transcribe):
                    scores.append(score)
        except ManifestError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except (OnecardError, BuildError, PeerError) as error:
            print(f"error: {error}", file=sys.stderr)
            status = 1
        except KeyboardInterrupt:
            print(f"\ninterrupted after {len(scores)} of {len(entries)}", file=sys.stderr)
            status = INTERRUPTED
    if scores:
        _report(given, scores, [entry.id for entry in entries[len(scores) :]])
    return status or int(any(one.error for one in scores))


def run(entries: Sequence[Entry], transcribe: Transcribe) -> Iterator[Score]:
    """Every entry's score, one after the other, or its error; says which one it is at."""
    for number, entry in enumerate(entries, start=1):
        where = f"[{number}/{len(entries)}] {entry.id}"
        print(where, end="", file=sys.stderr, flush=True)
        duration_s = 0.0
        try:
            duration_s = len(recordings.read(entry.audio)) / recordings.RATE
            score = report.score(entry, transcribe(entry.audio, entry.language), duration_s)
            said = f"{duration_s:.1f} s in {score.seconds:.1f} s"
        except Exception as error:  # the next one may do better
            said = f"{type(error).__name__}: {error}"
            score = Score(entry.id, duration_s, 0.0, error=said)
        print(f": {said}", file=sys.stderr, flush=True)
        yield score


def _report(given: argparse.Namespace, scores: Sequence[Score], not_done: Sequence[str]) -> None:
    """The table, and the JSON where it is asked for."""
    document = {
        "system": given.peer or "onecard",
        "recordings": [one.document() for one in scores],
        "not_done": not_done,
        "all": report.total(scores).document(),
    }
    print(f"{document['system']}\n{report.table(scores)}", flush=True)
    if given.json is not None:
        text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
        given.json.write_text(text, encoding="utf-8")


def _unwritable(path: Path) -> str | None:
    """Why no file can be written at `path`; None where one can."""
    if path.is_dir():
        return "is a folder, must be a file"
    if not path.parent.is_dir():
        return f"the folder `{path.parent}` is not there; make it first"
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        return "cannot be written to"
    return None


def _entries(path: Path | None, only: str, folder: Path) -> list[Entry]:
    entries = bundled.entries(folder) if path is None else manifest.read(path)
    chosen = [entry for entry in entries if fnmatch.fnmatchcase(entry.id, only)]
    if not chosen:
        names = ", ".join(entry.id for entry in entries)
        raise ManifestError(f"no recording is called `{only}`; there are: {names}")
    return chosen


def _system(given: argparse.Namespace) -> AbstractContextManager[Transcribe]:
    if given.peer == "whisperx":
        return systems.whisperx(given.align_models)
    return systems.served(given.url, given.beam_size)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation", description=DESCRIPTION, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "manifest", nargs="?", type=Path, help="default: the recordings of `make samples`"
    )
    parser.add_argument("--url", help="of a server that runs, host:port; default: one is started")
    parser.add_argument("--only", default="*", metavar="GLOB", help="recordings with such an id")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything counted there")
    parser.add_argument(
        "--beam-size", type=int, metavar="N",
        help="beams in the server's search; default: its plan's. A peer has its own",
    )  # fmt: skip
    parser.add_argument(
        "--peer",
        choices=["whisperx"],
        help="instead of a server, what `evaluation.peers setup` made",
    )
    parser.add_argument(
        "--align-models", type=Path, metavar="DIR",
        help="for the peer: a wav2vec2 model per language code; without, its words have no times",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
