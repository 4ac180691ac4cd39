"""Which language is spoken: the token that Whisper's decoder puts first.

It asks the engine for one token after the start token, the only way that the engine's contract has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from onecard.errors import InvalidRequest, Unavailable
from onecard.recognition.engine import Answer, Decode, Decoded, Engine
from onecard.recognition.fallback import Chunk
from onecard.whisper.mel import Features
from onecard.whisper.tokenizer import Tokenizer

# Below it the first chunk alone does not decide.
SURE = 0.5
MAX_VOTES = 3
# Of a chunk that is taken for another language than the recording's.
SURE_OF_ANOTHER = 0.8
MIN_PROBE_S = 8.0
FALLBACK = "en"


@dataclass(frozen=True)
class Language:
    """A language code, how probable it is (None where nothing was measured), and a caveat."""

    code: str
    probability: float | None
    warning: str | None = None


def first_token(features: Features, tokenizer: Tokenizer, suppressed: Sequence[int] = ()) -> Decode:
    """The request whose answer is a language, or the no-speech token, and its probability."""
    return Decode(features, prompt=(tokenizer.start,), max_new_tokens=1, suppressed=suppressed)


def detect(
    engine: Engine, features: Sequence[Callable[[], Features]], tokenizer: Tokenizer
) -> Language:
    """The language of a clip from its chunks of speech.

    WhisperX listens to the first 30 s of the file, speech or not. Here the first chunk with speech
    decides, if its language has a probability of at least `SURE`; otherwise the first `MAX_VOTES`
    of `features` vote with their probabilities. The probability is the mean of the winner's over
    the chunks asked, those counting 0 that heard something else.

    Args:
        features: makes the features of a chunk; in the order in which they are to be asked.

    Raises:
        InvalidRequest: the engine refused.
        Unavailable: it did not answer.
    """
    votes: dict[str, float] = {}
    num_asked = 0
    for batch in (features[:1], features[1:MAX_VOTES]):
        for answer in _ask(engine, batch, tokenizer):
            num_asked += 1
            heard = _heard(answer, tokenizer)
            if heard is not None:
                votes[heard.code] = votes.get(heard.code, 0.0) + (heard.probability or 0.0)
        if max(votes.values(), default=0.0) >= SURE * num_asked:
            break
    return _winner(votes, num_asked)


def others(
    engine: Engine, chunks: Sequence[Chunk], code: str, tokenizer: Tokenizer
) -> dict[int, str]:
    """The languages of chunks, by index, that are surely spoken in another one than `code`.

    Chunks too short to judge by are taken for what those around them are. An engine that keeps its
    encoder's outputs, as the one on the CPU does, has little to do for it.

    Raises:
        InvalidRequest, Unavailable: as `detect`.
    """
    found = _sure(engine, chunks, tokenizer)
    for index in range(len(chunks)):
        before = found.get(index - 1)
        if index not in found and before and before == found.get(index + 1):
            found[index] = before
    return {index: heard for index, heard in found.items() if heard != code}


def _sure(engine: Engine, chunks: Sequence[Chunk], tokenizer: Tokenizer) -> dict[int, str]:
    asked = [i for i, chunk in enumerate(chunks) if chunk.duration_s >= MIN_PROBE_S]
    answers = _ask(engine, [chunks[i].features for i in asked], tokenizer)
    heard = {i: _heard(answer, tokenizer) for i, answer in zip(asked, answers, strict=True)}
    return {
        i: language.code
        for i, language in heard.items()
        if language and (language.probability or 0.0) >= SURE_OF_ANOTHER
    }


def _ask(
    engine: Engine, batch: Sequence[Callable[[], Features]], tokenizer: Tokenizer
) -> list[Decoded]:
    """The first token of each chunk; each is asked for twice at most."""

    def ask(chunks: Iterable[Callable[[], Features]]) -> Iterator[Answer]:
        # There is speech, says the VAD; the question is which.
        never = (tokenizer.no_speech,)
        return engine(first_token(make(), tokenizer, never) for make in chunks)

    answers = list(ask(batch))
    failed = [index for index, answer in enumerate(answers) if isinstance(answer, Exception)]
    again = ask(batch[index] for index in failed)
    for index, answer in zip(failed, again, strict=True):
        answers[index] = answer
    for answer in answers:
        if isinstance(answer, InvalidRequest | Unavailable):
            raise answer
        if isinstance(answer, Exception):
            raise Unavailable(
                f"the engine failed twice on detecting the language, the last time with: {answer}; "
                "try again later, or set `language`"
            )
    return [answer for answer in answers if isinstance(answer, Decoded)]


def _heard(answer: Decoded, tokenizer: Tokenizer) -> Language | None:
    """The language of one chunk; None if its first token is no language (noise, for instance)."""
    if not answer.tokens:
        return None
    code = tokenizer.languages.get(answer.tokens[0])
    return None if code is None else Language(code, probability_of(answer))


def probability_of(answer: Decoded) -> float:
    """The probability of a single token, from its log-probability."""
    return float(min(1.0, math.exp(answer.log_prob)))


def _winner(votes: dict[str, float], num_asked: int) -> Language:
    if not votes:
        return Language(
            FALLBACK, None,
            f"no language was recognized (chunks listened to: {num_asked}), `{FALLBACK}` is "
            "assumed; set `language` if it is another",
        )  # fmt: skip
    code = max(votes, key=lambda found: votes[found])
    probability = votes[code] / num_asked
    if probability >= SURE:
        return Language(code, probability)
    return Language(
        code, probability,
        f"the language is uncertain: `{code}` with probability {probability:.2f}; set `language` "
        "if it is another",
    )  # fmt: skip
