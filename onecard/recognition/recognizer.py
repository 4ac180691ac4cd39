"""Chunks of speech to text: language, prompt, decoding, second tries, an account of each chunk.

The order of things is OpenAI's (openai/whisper, whisper/transcribe.py). An engine is handed in.
`onecard.recognition.fallback` decides what is good enough.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from onecard import manifest
from onecard.audio import SAMPLE_RATE, Pcm
from onecard.contract import shapes
from onecard.contract.whisper import CHUNK_S
from onecard.errors import InvalidRequest
from onecard.options.transcribe import TranscribeOptions
from onecard.recognition import language as languages
from onecard.recognition.engine import Engine
from onecard.recognition.fallback import Chunk, Document
from onecard.recognition.language import Language
from onecard.recognition.request import Config, Request
from onecard.whisper import models
from onecard.whisper.abilities import Abilities
from onecard.whisper.mel import NUM_SAMPLES, log_mel
from onecard.whisper.models import Models
from onecard.whisper.tokenizer import Tokenizer

__all__ = ["Config", "Models", "Names", "Recognizer", "load", "load_all"]


@dataclass(frozen=True)
class Names(models.Config):
    """Parameters of config.pbtxt: the Whispers that there are."""

    speech_precisions: str  # in which each computes, with commas between
    speech_on_demand: str = ""  # those that are loaded when a request names them


def load_all(config: Config, names: Names) -> Models[Recognizer]:
    """A recognizer for each Whisper that there is; `config` is the first one's.

    Raises:
        ManifestError: as `load`.
    """
    precisions = dict(
        zip(names.speech_models.split(","), names.speech_precisions.split(","), strict=True)
    )

    def make(name: str, suffix: str) -> Recognizer:
        own = replace(
            config,
            whisper_model=config.whisper_model + suffix,
            engine_dir=config.engine_dir + suffix,
            engine_precision=precisions[name],
        )
        return load(own, name, name in names.speech_on_demand.split(","))

    return models.load(names, make)


def load(config: Config, name: str | None = None, is_on_demand: bool = False) -> Recognizer:
    """A recognizer for the engine that `config.engine_dir` holds.

    Args:
        name: by which requests choose it, for the result's `engine` block.
        is_on_demand: whether it is loaded only while requests use it.

    Raises:
        ManifestError: a file of it is missing or is not the one that was built.
    """
    facts: dict[str, Any] = manifest.engine(config)
    if name is not None:
        facts["choice"] = name
    directory = Path(config.engine_dir)
    features = json.loads((directory / "preprocessor_config.json").read_text(encoding="utf-8"))
    tokenizer = Tokenizer(directory / "tokenizer.json")
    num_mels = int(features["feature_size"])
    return Recognizer(tokenizer, config, facts, num_mels, is_on_demand)


class Recognizer:
    """Whisper's transcription of the chunks that `detect_speech` found.

    Args:
        facts: of the engine, for the result's `engine` block.
        num_mels: what the engine takes.
        is_on_demand: whether it is loaded only while requests use it.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        config: Config,
        facts: Mapping[str, Any],
        num_mels: int,
        is_on_demand: bool = False,
    ) -> None:
        self.tokenizer = tokenizer
        self.is_on_demand = is_on_demand
        self.engine_model = config.whisper_model  # in the model repository
        self._config = config
        self._facts = dict(facts)
        self._num_mels = num_mels
        codes = tuple(tokenizer.languages.values())
        self._abilities = Abilities(
            codes, tokenizer.num_tokens, config.max_beam_size, config.engine_backend
        )

    def recognize(
        self, pcm: Pcm, speech: Document, options: TranscribeOptions, engine: Engine
    ) -> Document:
        """The SEGMENTS document: a segment for each chunk with text, in order.

        Every chunk is in `segments` or, with a reason, in `dropped`. Where `pcm` is a part of the
        clip, `speech` has the part's `first_sample`; times are those of the clip all the same. Its
        `language`, where it has one, is what the parts before were found to be spoken in, and its
        `previous` the tokens of their text, where that is to be gone on from.

        Raises:
            InvalidRequest: an option that this model or its engine cannot serve, or chunks
                that do not fit the clip or the encoder.
            Unavailable: the engine is overloaded, or failed on every chunk.
        """
        self._abilities.verify(options)
        shapes.verify("SPEECH", speech, shapes.SPEECH)
        first_sample = int(speech.get("first_sample") or 0)
        duration_s = speech.get("duration_s")
        if duration_s is None:
            duration_s = (first_sample + len(pcm)) / SAMPLE_RATE
        chunks = [
            self._chunk(pcm, chunk, first_sample, float(duration_s)) for chunk in speech["chunks"]
        ]
        language = self._language(chunks, speech, options, engine)
        warnings = [language.warning] if language.warning else []
        if self._hears_languages(options):
            self._tell_languages(chunks, speech, options, language.code, engine)
        previous = speech.get("previous")
        request = Request(self.tokenizer, self._config, options, language.code, previous or ())
        if chunks and previous is None:
            warnings += request.begin_with_prefix(chunks[0])
        request.run(chunks, engine)
        outcome = request.outcome(chunks)
        return {
            "language": language.code,
            "language_probability": language.probability,
            "task": options.task,
            "first_sample": first_sample,
            "previous": request.previous,
            **outcome,
            "engine": {**self._facts, "beam_size": request.beam_size},
            "warnings": warnings + request.warnings,
        }

    def _chunk(self, pcm: Pcm, chunk: Document, first_sample: int, duration_s: float) -> Chunk:
        """Cut out as WhisperX does: both ends truncated to whole samples."""
        first, last = (int(chunk[key] * SAMPLE_RATE) - first_sample for key in ("start", "end"))
        last -= last - first == NUM_SAMPLES + 1  # 30 s whose ends were truncated apart
        if not 0 <= first < last <= len(pcm):
            raise InvalidRequest(
                f"SPEECH has a chunk from {chunk['start']} to {chunk['end']} s, PCM has "
                f"{len(pcm) / SAMPLE_RATE:.3f} s of the clip; send the SPEECH of this PCM"
            )
        if last - first > NUM_SAMPLES:
            raise InvalidRequest(
                f"SPEECH has a chunk from {chunk['start']} to {chunk['end']} s, the encoder takes "
                f"{CHUNK_S} s; use a `chunk_size` of at most {CHUNK_S}"
            )
        end_s = min(round(chunk["end"], 3), duration_s)
        make = partial(log_mel, pcm[first:last], self._num_mels)
        return Chunk(round(chunk["start"], 3), end_s, make, vad_score=chunk.get("score"))

    def _hears_languages(self, options: TranscribeOptions) -> bool:
        """Whether each chunk is listened to for its own language."""
        wanted = options.multilingual
        if wanted is None:
            wanted = options.language is None
        return wanted and self.tokenizer.is_multilingual

    def _tell_languages(
        self,
        chunks: Sequence[Chunk],
        speech: Document,
        options: TranscribeOptions,
        code: str,
        engine: Engine,
    ) -> None:
        """Mark the chunks that are spoken in another language than `code`."""
        if len(chunks) == 1 and options.language is None and speech.get("language") is None:
            return  # it decided itself
        for index, heard in languages.others(engine, chunks, code, self.tokenizer).items():
            chunks[index].language = heard

    def _language(
        self, chunks: Sequence[Chunk], speech: Document, options: TranscribeOptions, engine: Engine
    ) -> Language:
        nothing = None if chunks else "no speech was found"
        if options.language is not None:
            return Language(self.tokenizer.language(options.language), None, nothing)
        if not self.tokenizer.is_multilingual:
            return Language("en", None, nothing)
        if speech.get("language") is not None:
            return Language(self.tokenizer.language(speech["language"]), None, nothing)
        if not chunks:
            return Language(languages.FALLBACK, None, f"{nothing}, hence no language")
        # After the first chunk the longest: they hold the most to judge by.
        others = sorted(chunks[1:], key=lambda chunk: chunk.start_s - chunk.end_s)
        features = [chunk.features for chunk in (chunks[0], *others)]
        return languages.detect(engine, features, self.tokenizer)
