"""English word times by PocketSphinx's Gaussian mixtures: a forced alignment without a network.

The acoustic model and the dictionary (CMU en-us) come with the `pocketsphinx` package.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import pocketsphinx

from onecard.alignment.pronunciation import pronounce, spoken_forms
from onecard.alignment.units import Alignment, Failure, Timed, Utterance

FRAME_S = 0.01
# A phone is a left-to-right model of three states, which takes at least a frame each.
_MIN_FRAMES_PER_PHONE = 3
# Beams to try in turn. Narrow ones are fast and lose their way where words of the audio are not in
# the text (a dropped "uh"); a wide one costs up to ten times as much.
_BEAMS = (1e-48, 1e-100, 1e-200)
# Of a silence or a noise between two words. The package's silence probability of 0.005 puts word
# starts into pauses: 79 % within 100 ms of the reference against 87 % with this one.
_SILENCE_PROBABILITY, _NOISE_PROBABILITY = 0.1, 0.01
# Scores of a path are relative to the best state of each frame, in nats. Right texts were seen at
# 0.9 to 1.8 a frame (read prompts) and 1.6 to 2.9 (spontaneous speech, Whisper's text), texts of
# other recordings at 4.8 in the median.
_MAX_NATS_PER_FRAME = 3.5
# A word's score is 0.5 where it lies here; words of wrong text do, and the worst of right text.
_MIDPOINT_NATS = 4.5
# Segment.ascore is the exponential of a logarithm that was shifted down by 10 bits
# (pocketsphinx, SENSCR_SHIFT), which undone gives nats.
_NATS_PER_LOG_SCORE = 1 << 10
_LOWEST_DENSITY = 1e-300
# Words that requests added; the dictionary forgets them all together when there are more.
_MAX_ADDED_WORDS = 20_000


@dataclass(frozen=True)
class _Heard:
    """One dictionary entry on the best path; frames [first, last), `nats` summed over them."""

    first: int
    last: int
    nats: float


class Sphinx:
    """PocketSphinx as an aligner of English. Not thread-safe; it holds the GIL while it works."""

    name = "pocketsphinx"

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._added: set[str] = set()
        self._decoder = pocketsphinx.Decoder(
            lm=None,
            loglevel="FATAL",
            # The lattice's best path does not have to end in the last word, and loses it.
            bestpath=False,
            silprob=_SILENCE_PROBABILITY,
            fillprob=_NOISE_PROBABILITY,
        )

    def speaks(self, language: str) -> bool:
        return language == "en"

    def align(self, utterances: Sequence[Utterance]) -> list[Alignment | Failure]:
        return [self._align(utterance) for utterance in utterances]

    def _align(self, utterance: Utterance) -> Alignment | Failure:
        if len(self._added) > _MAX_ADDED_WORDS:
            self._reset()
        forms = [spoken_forms(word.text, self._decoder.lookup_word) for word in utterance.words]
        flat = list(itertools.chain.from_iterable(forms))
        if not flat:
            return Failure("none of its words has a pronunciation")
        num_phones = sum(self._num_phones(form) for form in flat)
        num_frames = int((utterance.end_s - utterance.start_s) / FRAME_S)
        if num_phones * _MIN_FRAMES_PER_PHONE > num_frames:
            return Failure("it is too short for its text")
        heard = self._search(utterance.pcm.tobytes(), flat)
        if heard is None:
            return Failure("its sound does not match its text")
        nats = -sum(entry.nats for entry in heard) / sum(e.last - e.first for e in heard)
        if nats > _MAX_NATS_PER_FRAME:
            return Failure("its sound hardly matches its text")
        entries = iter(heard)
        groups = [list(itertools.islice(entries, len(group))) for group in forms]
        return Alignment(tuple(_timed(group, utterance.start_s) for group in groups))

    def _num_phones(self, form: str) -> int:
        """Phones of a spelling, which is in the dictionary afterwards."""
        phones = self._decoder.lookup_word(form)
        if phones is None:
            phones = pronounce(form, self._decoder.lookup_word)
            self._decoder.add_word(form, phones, update=False)
            self._added.add(form)
        return len(phones.split())

    def _search(self, pcm: bytes, forms: list[str]) -> list[_Heard] | None:
        """The best path through all of `forms` in order, or None where no beam reaches its end."""
        decoder = self._decoder
        for beam in _BEAMS:
            for name in ("beam", "pbeam", "wbeam"):
                decoder.config[name] = beam
            # The front end's noise estimate outlives an utterance: without this, times would depend
            # on what other requests sent before.
            decoder.reinit_feat()
            decoder.set_align_text(" ".join(forms))
            decoder.start_utt()
            decoder.process_raw(pcm, full_utt=True)
            decoder.end_utt()
            heard = [
                _Heard(found.start_frame, found.end_frame + 1, _nats(found.ascore))
                for found in decoder.seg() or ()
                if found.word[0] not in "<[("  # silence, noise, nothing
            ]
            if len(heard) == len(forms):
                return heard
        return None


def _nats(density: float) -> float:
    return _NATS_PER_LOG_SCORE * math.log(max(density, _LOWEST_DENSITY))


def _timed(heard: list[_Heard], offset_s: float) -> Timed | None:
    """A written word from what was said for it; None where nothing was."""
    if not heard:
        return None
    first, last = heard[0].first, heard[-1].last
    nats = -sum(entry.nats for entry in heard) / (last - first)
    score = 1.0 / (1.0 + math.exp(nats - _MIDPOINT_NATS))
    return Timed(offset_s + first * FRAME_S, offset_s + last * FRAME_S, score)
