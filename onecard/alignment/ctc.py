"""Word and character times by CTC: WhisperX's alignment with wav2vec2, its forward batched.

Source: whisperx/alignment.py, `align`. A character that the network does not know (a digit, a
symbol, another script) gets an extra label that matches anything. In each frame this label is as
probable as the most probable label other than the blank.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from onecard.alignment import text, trellis
from onecard.alignment.acoustic import Acoustic, Emission
from onecard.alignment.units import Alignment, Failure, Timed, Utterance

# What wav2vec2 vocabularies have in place of a space.
_WORD_BOUNDARY = "|"


class Ctc:
    """The wav2vec2 models of a directory, `<language>/` each, loaded when a request needs them.

    Raises:
        ManifestError: a model to be preloaded is incomplete or damaged.
    """

    name = "ctc"

    def __init__(
        self,
        directory: str,
        *,
        preload: Sequence[str],
        max_loaded: int,
        batch_size: int,
        device: str,
        dtype: str,
        num_threads: int,
    ) -> None:
        torch.set_num_threads(num_threads)
        self._directory = Path(directory)
        self._max_loaded = max(max_loaded, len(preload))
        self._batch_size = batch_size
        self._device, self._dtype, self._num_threads = device, dtype, num_threads
        self._loaded: OrderedDict[str, Acoustic] = OrderedDict()
        for language in preload:
            self._acoustic(language.strip())

    def speaks(self, language: str) -> bool:
        return (self._directory / Path(language).name / "config.json").is_file()

    def _acoustic(self, language: str) -> Acoustic:
        if language in self._loaded:
            self._loaded.move_to_end(language)
            return self._loaded[language]
        # The least recently used language is dropped first: memory is budgeted for this many.
        while len(self._loaded) >= self._max_loaded:
            self._loaded.popitem(last=False)
        self._loaded[language] = Acoustic.load(
            self._directory / language, self._device, self._dtype, self._num_threads
        )
        return self._loaded[language]

    def align(self, utterances: Sequence[Utterance]) -> list[Alignment | Failure]:
        outcomes: dict[int, Alignment | Failure] = {}
        for language in sorted({utterance.language for utterance in utterances}):
            acoustic = self._acoustic(language)
            chosen = [i for i, utterance in enumerate(utterances) if utterance.language == language]
            segments = [utterances[i].pcm for i in chosen]
            emissions = acoustic.emissions(segments, self._batch_size)
            vocabulary = acoustic.labels, acoustic.blank
            del acoustic  # or it stays in memory while the next language is loaded
            for i, emission in zip(chosen, emissions, strict=True):
                outcomes[i] = align_emission(utterances[i], emission, *vocabulary)
        return [outcomes[i] for i in range(len(utterances))]


def align_emission(
    utterance: Utterance, emission: Emission, labels: dict[str, int], blank: int
) -> Alignment | Failure:
    """Times of an utterance from its log-probabilities [T, labels]."""
    places, tokens = _tokens(utterance, labels, wildcard=emission.shape[1])
    if not tokens:
        return Failure("its text has no characters")
    spoken = np.arange(emission.shape[1]) != blank
    wildcard = emission[:, spoken].max(axis=1, keepdims=True)
    columns = np.concatenate([emission, wildcard], axis=1)
    path = trellis.best_path(columns, np.array(tokens, np.int64), blank)
    if path is None:
        return Failure("it is too short for its text")
    frame_s = (utterance.end_s - utterance.start_s) / len(emission)
    chars: list[Timed | None] = [None] * len(utterance.text)
    for place, first, last, score in zip(places, *path, strict=True):
        start_s = utterance.start_s + float(first) * frame_s
        chars[place] = Timed(start_s, utterance.start_s + float(last) * frame_s, float(score))
    words = tuple(_word(chars[word.start : word.end]) for word in utterance.words)
    return Alignment(words, tuple(chars))


def _tokens(
    utterance: Utterance, labels: dict[str, int], wildcard: int
) -> tuple[list[int], list[int]]:
    """(positions in the text, labels) of the characters that go to the network.

    Spaces between words do where the network knows a boundary; outer ones never do.
    """
    if not utterance.words:
        return [], []
    has_spaces = utterance.language not in text.LANGUAGES_WITHOUT_SPACES
    places, tokens = [], []
    for place in range(utterance.words[0].start, utterance.words[-1].end):
        char = utterance.text[place].lower()
        if has_spaces and char == " ":
            char = _WORD_BOUNDARY
        if char in labels:
            token = labels[char]
        elif char.isspace() or char == _WORD_BOUNDARY:
            continue
        else:
            token = wildcard
        places.append(place)
        tokens.append(token)
    return places, tokens


def _word(chars: Sequence[Timed | None]) -> Timed | None:
    timed = [char for char in chars if char is not None]
    if not timed:
        return None
    return Timed(
        min(char.start_s for char in timed),
        max(char.end_s for char in timed),
        sum(round(char.score, 3) for char in timed) / len(timed),
    )
