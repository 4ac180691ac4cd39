"""WhisperX as whoever uses the library calls it, its models warm; runs in .venv-peers.

`load_model`, `load_align_model`, `align`, `DiarizationPipeline`, `assign_word_speakers` are its own
code, on onecard's weights; what had to be done for that is said where it is done.
`evaluation.peers.whisperx` starts it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Before the imports: pyannote.audio reports each use otherwise, and hubs are none of ours.
os.environ["PYANNOTE_METRICS_ENABLED"] = "0"
os.environ["HF_HUB_OFFLINE"] = "1"

import faster_whisper
import numpy as np
import numpy.typing as npt
import torch
import whisperx
from nltk.tokenize.punkt import PunktSentenceTokenizer
from whisperx import alignment, diarize
from whisperx.audio import load_audio

from build_scripts import paths
from evaluation.peers import protocol, speaker_diarization
from onecard.diarization.local_pipeline import weights_only

BATCH_SIZE = 8  # the default of WhisperX's command line
COMPUTE_TYPE = "int8"
DEVICE = "cpu"

Audio = npt.NDArray[np.float32]


class WhisperX:
    """The pipeline of WhisperX's README with its models loaded once.

    Args:
        align: directory with an acoustic model, in Hugging Face's layout, for each language.
    """

    def __init__(self, align: Path, num_threads: int) -> None:
        torch.set_num_threads(num_threads)
        self._clock = Clock()
        self._num_threads = num_threads
        self._align = align
        with weights_only():  # its voice activity is a checkpoint of pyannote
            self._asr = self._load_asr()
        self._diarize = _load_diarization()
        self._acoustic: dict[str, tuple[Any, dict[str, Any]]] = {}
        _split_sentences_without_downloads()
        for name in ("get_trellis", "backtrack", "merge_repeats"):
            setattr(alignment, name, self._clock.timed("path", getattr(alignment, name)))

    def transcribe(
        self, path: str, language: str | None = None, align: bool = True, diarize: bool = True
    ) -> dict[str, Any]:
        """Text, segments with their words and speakers, turns, and the seconds of every stage."""
        self._clock.reset()
        with self._clock.stage("total"):
            with self._clock.stage("decode"):
                audio = _decode(path)
            with self._clock.stage("asr"):
                found = self._asr.transcribe(audio, batch_size=BATCH_SIZE, language=language)
            spoken = found["language"]
            if align and self._speaks(spoken):
                with self._clock.stage("align"):
                    found = self._aligned(found["segments"], audio, spoken)
            turns = self._diarized(audio) if diarize else None
            if turns is not None:
                with self._clock.stage("assign"):
                    found = whisperx.assign_word_speakers(turns, found)
        return {
            "language": spoken,
            "text": " ".join(one["text"].strip() for one in found["segments"]),
            "segments": [_plain(one) for one in found["segments"]],
            "turns": None if turns is None else _turns(turns),
            "seconds": self._seconds(),
        }

    def align(self, path: str, segments: list[dict[str, Any]], language: str) -> dict[str, Any]:
        """The words of `segments` (start, end, text) with their times, and the seconds it took."""
        audio = _decode(path)
        self._acoustic_of(language)
        self._clock.reset()
        with self._clock.stage("align"):
            found = self._aligned(segments, audio, language)
        return {
            "segments": [_plain(one) for one in found["segments"]],
            "seconds": self._seconds(),
        }

    def _aligned(self, segments: Sequence[Any], audio: Audio, language: str) -> Any:
        model, metadata = self._acoustic_of(language)
        return whisperx.align(segments, model, metadata, audio, DEVICE)

    def _diarized(self, audio: Audio) -> Any:
        with self._clock.stage("diarize"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # means over nothing where nobody speaks
            return self._diarize(audio)

    def _seconds(self) -> dict[str, float]:
        found = self._clock.seconds
        if "vad" in found:
            found["asr"] -= found["vad"]  # WhisperX's `transcribe` does both
        return {name: round(value, 4) for name, value in found.items()}

    def _load_asr(self) -> Any:
        model = whisperx.load_model(
            str(paths.ENGINES / "whisper"), DEVICE, compute_type=COMPUTE_TYPE,
            threads=self._num_threads, vad_method="pyannote",
        )  # fmt: skip
        # To know the time of either; nothing else changes.
        model.vad_model.vad_pipeline = self._clock.timed("vad", model.vad_model.vad_pipeline)
        return model

    def _speaks(self, language: str) -> bool:
        return (self._align / language / "config.json").is_file()

    def _acoustic_of(self, language: str) -> tuple[Any, dict[str, Any]]:
        if language not in self._acoustic:
            model, metadata = whisperx.load_align_model(
                language, DEVICE, model_name=str(self._align / language)
            )
            model.eval().forward = self._clock.timed("forward", model.forward)
            self._acoustic[language] = model, metadata
        return self._acoustic[language]


def _load_diarization() -> Any:
    """WhisperX's class around pyannote's pipeline; its constructor knows those of a hub alone."""
    found = diarize.DiarizationPipeline.__new__(diarize.DiarizationPipeline)
    found.model = speaker_diarization.load()
    return found


def _split_sentences_without_downloads() -> None:
    """WhisperX downloads NLTK's trained sentence boundaries at its first `align`; NLTK's own class
    does the same work without having been trained on abbreviations."""
    splitter = PunktSentenceTokenizer()
    alignment.nltk_load = lambda _: splitter


def _decode(path: str) -> Audio:
    """WhisperX decodes with the program `ffmpeg`; where there is none, PyAV does."""
    if shutil.which("ffmpeg"):
        found: Audio = load_audio(path)
        return found
    samples: Audio = faster_whisper.decode_audio(path)
    return samples


def _plain(segment: dict[str, Any]) -> dict[str, Any]:
    """What JSON can say of a segment."""
    words = [_kept(word, ("word", "start", "end", "speaker")) for word in segment.get("words", ())]
    return {**_kept(segment, ("start", "end", "text", "speaker")), "words": words}


def _kept(found: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """NumPy's numbers as Python's."""
    return {
        key: found[key] if isinstance(found[key], str) else float(found[key])
        for key in keys
        if key in found
    }


def _turns(found: Any) -> list[dict[str, Any]]:
    rows = zip(found["start"], found["end"], found["speaker"], strict=True)
    return [{"start": float(start), "end": float(end), "speaker": who} for start, end, who in rows]


class Clock:
    """Seconds by the name of a stage; stages may lie within each other."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def reset(self) -> None:
        self.seconds = defaultdict(float)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started_s = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - started_s

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """`work`, its time counted as the stage `name`."""

        def run(*arguments: Any, **options: Any) -> Any:
            with self.stage(name):
                return work(*arguments, **options)

        return run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m evaluation.peers.process")
    parser.add_argument("--threads", type=int, required=True, help="of every stage")
    parser.add_argument("--align", type=Path, required=True, help="acoustic models, by language")
    arguments = parser.parse_args()
    # WhisperX prints; what this process says goes where nothing else is written.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    peer = WhisperX(arguments.align, arguments.threads)
    about = {"name": "whisperx", "threads": arguments.threads, "batch_size": BATCH_SIZE,
             "compute_type": COMPUTE_TYPE}  # fmt: skip
    verbs: dict[str, protocol.Verb] = {"transcribe": peer.transcribe, "align": peer.align}
    protocol.serve(about, verbs, sys.stdin, answers)


if __name__ == "__main__":
    main()
