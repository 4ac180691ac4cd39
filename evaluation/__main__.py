"""`python -m evaluation [MANIFEST]`: transcribe what has references, and count the errors.

It knows the flags and the order of things; `make eval ARGS="..."` runs it.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from bench.peer_protocol import PeerError
from build_scripts.errors import BuildError
from evaluation import bundled, manifest, recordings, report, systems
from evaluation.manifest import Entry, ManifestError
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
    """The exit status: 0, or 2 where the manifest is wrong, 1 where the system fails."""
    given = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        try:
            entries = _entries(given.manifest, given.only, Path(folder))
            with _system(given) as transcribe:
                scores = run(entries, transcribe)
        except ManifestError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except (OnecardError, BuildError, PeerError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return INTERRUPTED
    document = {
        "system": given.peer or "onecard",
        "recordings": [one.document() for one in scores],
        "all": report.total(scores).document(),
    }
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    if given.json is not None:
        given.json.write_text(text, encoding="utf-8")
    print(f"{document['system']}\n{report.table(scores)}")
    return 0


def run(entries: Sequence[Entry], transcribe: Transcribe) -> list[Score]:
    """Every entry's score, one after the other; says which one it is at."""
    scores = []
    for number, entry in enumerate(entries, start=1):
        where = f"[{number}/{len(entries)}] {entry.id}"
        print(where, end="", file=sys.stderr, flush=True)
        duration_s = len(recordings.read(entry.audio)) / recordings.RATE
        scores.append(report.score(entry, transcribe(entry.audio, entry.language), duration_s))
        took = f"{duration_s:.1f} s in {scores[-1].seconds:.1f} s"
        print(f": {took}", file=sys.stderr, flush=True)
    return scores


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
    return systems.served(given.url)


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
        "--peer", choices=["whisperx"], help="instead of a server, what `bench.peers setup` made"
    )
    parser.add_argument(
        "--align-models", type=Path, metavar="DIR",
        help="for the peer: a wav2vec2 model per language code; without, its words have no times",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
