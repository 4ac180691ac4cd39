"""Word times from Whisper's cross-attention: any language that Whisper knows, coarser than CTC.

The method is that of OpenAI's word timestamps (openai/whisper, whisper/timing.py) as faster-whisper
runs it: the attention heads that follow the audio, a median filter, and dynamic time warping.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import numpy.typing as npt
import tokenizers

from onecard import manifest
from onecard.alignment.units import Alignment, Failure, Span, Timed, Utterance
from onecard.contract.whisper import CHUNK_S, NUM_TEXT_POSITIONS
from onecard.whisper import mel
from onecard.whisper.tokenizer import Tokenizer

# Decoder positions of 20 ms, two mel frames each (openai/whisper, whisper/audio.py).
_POSITION_S = 0.02
_SAMPLES_PER_MEL_FRAME = 160
# openai/whisper's `medfilt_width`.
_MEDIAN_FILTER_WIDTH = 7
# Whisper's decoder context less the start tokens, `no_timestamps` and the end.
_MAX_TOKENS = NUM_TEXT_POSITIONS - 5
# The filter needs at least its width of positions.
_MIN_MEL_FRAMES = 2 * _MEDIAN_FILTER_WIDTH


class Attention:
    """A Whisper model as an aligner of segments of up to 30 s.

    They go one after the other: a processor gains nothing from batches, and eight at a time took
    760 MiB over the model where one takes 155 (base).

    Raises:
        ManifestError: the directory is incomplete or damaged.
    """

    name = "attention"

    def __init__(self, directory: str, *, compute_type: str, num_threads: int) -> None:
        manifest.verify(directory)
        self._model: Any = ctranslate2.models.Whisper(
            directory, device="cpu", compute_type=compute_type, intra_threads=num_threads
        )
        path = Path(directory) / "tokenizer.json"
        self._vocabulary = Tokenizer(path)
        self._bytes = tokenizers.Tokenizer.from_file(str(path))
        self._languages = {code: token for token, code in self._vocabulary.languages.items()}

    def speaks(self, language: str) -> bool:
        return language in (self._languages or {"en"})

    def align(self, utterances: Sequence[Utterance]) -> list[Alignment | Failure]:
        return [self._align(utterance) for utterance in utterances]

    def _align(self, utterance: Utterance) -> Alignment | Failure:
        tokens = self._vocabulary.encode(utterance.text)
        return self._refusal(utterance, tokens) or self._found(utterance, tokens)

    def _refusal(self, utterance: Utterance, tokens: list[int]) -> Failure | None:
        if len(utterance.pcm) > mel.NUM_SAMPLES:
            return Failure(f"it is longer than Whisper's {CHUNK_S} s")
        if len(utterance.pcm) < _MIN_MEL_FRAMES * _SAMPLES_PER_MEL_FRAME:
            return Failure("it is too short")
        if not 0 < len(tokens) <= _MAX_TOKENS:
            return Failure(f"its text has {len(tokens)} tokens, of which Whisper reads 443")
        if max(tokens) >= self._vocabulary.end:
            return Failure("its text spells a special token of Whisper's")
        return None

    def _found(self, utterance: Utterance, tokens: list[int]) -> Alignment:
        features = mel.log_mel(utterance.pcm, int(self._model.n_mels)).T[np.newaxis]
        (result,) = self._model.align(
            ctranslate2.StorageView.from_array(np.ascontiguousarray(features, np.float32)),
            self._start(utterance.language),
            [tokens],
            [len(utterance.pcm) // _SAMPLES_PER_MEL_FRAME],
            median_filter_width=_MEDIAN_FILTER_WIDTH,
        )
        return self._timed(utterance, tokens, result)

    def _start(self, language: str) -> list[int]:
        start = [self._vocabulary.start]
        if self._vocabulary.is_multilingual:
            start += [self._languages[language], self._vocabulary.transcribe]
        return start

    def _timed(self, utterance: Utterance, tokens: list[int], result: Any) -> Alignment:
        edges_s = utterance.start_s + _token_edges_s(result.alignments, len(tokens))
        # One character of a byte-level vocabulary's token stands for one byte of the text.
        sizes = [len(self._bytes.id_to_token(token)) for token in tokens]
        edges = np.concatenate([[0], np.cumsum(sizes)])
        scores = np.array(result.text_token_probs[: len(tokens)], float)
        return Alignment(
            tuple(_word(utterance.text, word, edges, edges_s, scores) for word in utterance.words)
        )


def _token_edges_s(
    alignments: Sequence[tuple[int, int]], num_tokens: int
) -> npt.NDArray[np.float64]:
    """[num_tokens + 1] seconds at which each token begins; the last is the end of the text.

    Args:
        alignments: (token, position) pairs of the warping path, in order.
    """
    path = np.array(alignments, float).reshape(-1, 2)
    is_first = np.diff(path[:, 0], prepend=-1) > 0
    starts_s = path[is_first, 1] * _POSITION_S
    last_s = (path[-1, 1] + 1) * _POSITION_S
    edges_s = np.append(starts_s, last_s)
    return np.pad(edges_s, (0, max(0, num_tokens + 1 - len(edges_s))), "edge")[: num_tokens + 1]


def _word(
    text: str,
    word: Span,
    edges: npt.NDArray[np.int64],
    edges_s: npt.NDArray[np.float64],
    scores: npt.NDArray[np.float64],
) -> Timed:
    """A word from its tokens; where a token holds several, it is divided by bytes.

    Args:
        edges: [num_tokens + 1] bytes at which each token begins.
        edges_s: the same in seconds.
        scores: [num_tokens] probabilities.
    """
    first = len(text[: word.start].encode())
    last = first + len(word.text.encode())
    # A word's space belongs to its first token, which the word takes from its beginning on.
    if word.start and text[word.start - 1] == " " and first - 1 in edges:
        first -= 1
    start_s, end_s = np.interp([first, last], edges, edges_s)
    begin = int(np.searchsorted(edges, first, "right")) - 1
    end = max(begin + 1, int(np.searchsorted(edges, last, "left")))
    return Timed(float(start_s), float(end_s), float(scores[begin:end].mean()))
