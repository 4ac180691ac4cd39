"""The kinds of request of a soak: each asks the server for something and says whether it came."""

from __future__ import annotations

import io
import random
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from bench.soak import material
from bench.soak.account import Left, WrongAnswer
from bench.soak.material import Material
from evaluation.metrics import word_errors
from onecard_client import Client, DeadlineExceeded, Progress, Transcript, Verdict

TIMEOUT_S = 1800.0  # what is not answered by then is lost
BRIEF_S = 0.2  # of a caller with no patience
# Words of a transcript that may differ from the reference run. Chunks of several recordings share
# a forward pass of the engine, whose sums then differ in their last bits, and now and then a word.
TOLERATED = 0.1
BAD_INPUT = "bad input"  # the kind that is to be refused
OPTIONS: Mapping[str, Any] = {"language": "en"}
# Where a caller leaves: the stages of a recording, and the first piece of other answers.
STAGES = ("decode_audio", "detect_speech", "recognize", "diarize")
PLACES = (*STAGES, "upload", "timeout", "closed", "chat", "triage", "minutes")


@dataclass
class Reference:
    """What the undisturbed server answered: texts by the name of what was asked."""

    texts: dict[str, str] = field(default_factory=dict)

    def difference(self, name: str, text: str) -> float | None:
        """The share of words that differ, from 0; None where there is no reference.

        Raises WrongAnswer where more than `TOLERATED` do.
        """
        if name not in self.texts:
            return None
        if text == self.texts[name]:
            return 0.0
        counts = word_errors(self.texts[name], text)
        share = counts.errors / max(1, counts.total)
        if share > TOLERATED:
            raise WrongAnswer(
                f"{name}: {share:.0%} of its words differ from the reference run: `{text[:200]}`"
            )
        return share


Request = Callable[[Client, random.Random], float | None]


class Kinds:
    """Every kind of request, each a function of client and chance.

    Args:
        url: the server's, for callers with a connection of their own.

    Each returns the difference from the reference, or None where nothing is compared, and raises
    `OnecardError` or an error of `account`.
    """

    def __init__(self, url: str, material: Material, reference: Reference) -> None:
        self._url = url
        self._material = material
        self._reference = reference

    def all(self) -> dict[str, tuple[Request, float]]:
        """Kind -> how it is asked, and how often in comparison with others."""
        return {
            "clip": (self.clip, 8.0),
            "long file": (self.long, 1.0),
            "damaged file": (self.damaged, 1.0),
            "chat": (self.chat, 5.0),
            "triage": (self.triage, 1.5),
            "minutes": (self.minutes, 1.0),
            BAD_INPUT: (self.bad, 3.0),
            "leaves": (self.leaves, 4.0),
        }

    def learn(self, client: Client, say: Callable[[str], object]) -> None:
        """Have everything answered once that answers are compared with."""
        for name, audio in {**self._material.clips, "long file": self._material.long}.items():
            self._reference.texts[name] = _transcribed(client, audio).text
            say(f"  reference of {name}: {len(self._reference.texts[name].split())} words")
        for prompt in material.PROMPTS:
            self._reference.texts[prompt] = self._answer(client, prompt)
            say(f"  reference of `{prompt}`: {self._reference.texts[prompt][:60]!r}")

    def clip(self, client: Client, rng: random.Random) -> float | None:
        name = rng.choice(sorted(self._material.clips))
        return self._reference.difference(
            name, _transcribed(client, self._material.clips[name]).text
        )

    def long(self, client: Client, rng: random.Random) -> float | None:
        """A file that is sent in parts, its events read as they come."""
        found = None
        stream = client.transcribe_stream(
            io.BytesIO(self._material.long), timeout_s=TIMEOUT_S, **OPTIONS
        )
        with closing(stream):
            for event in stream:
                found = event if isinstance(event, Transcript) else None
        if found is None:
            raise WrongAnswer("the stream ended without a transcript")
        _verify(found)
        return self._reference.difference("long file", found.text)

    def damaged(self, client: Client, rng: random.Random) -> None:
        """Cut off in the middle: worth what it holds."""
        audio = material.damaged(
            self._material.clips[rng.choice(sorted(self._material.clips))], rng
        )
        _transcribed(client, audio)

    def chat(self, client: Client, rng: random.Random) -> float | None:
        prompt = rng.choice(material.PROMPTS)
        text = self._answer(client, prompt)
        # Compared and stated, never wrong: another batch may round a token's rank the other way.
        known = self._reference.texts.get(prompt)
        return None if known is None else float(text != known)

    def _answer(self, client: Client, prompt: str) -> str:
        with closing(
            client.chat(prompt, temperature=0, max_tokens=material.MAX_TOKENS, timeout_s=TIMEOUT_S)
        ) as answer:
            pieces = list(answer)
        if answer.finish_reason not in ("stop", "length") or not "".join(pieces).strip():
            raise WrongAnswer(f"a chat ended with `{answer.finish_reason}` and {pieces!r}")
        return "".join(pieces)

    def triage(self, client: Client, rng: random.Random) -> None:
        """Every mail has one verdict, whatever it is."""
        batch = rng.choice(self._material.mails)
        verdicts: list[Verdict] = list(client.triage(batch, timeout_s=TIMEOUT_S))
        if sorted(one.id for one in verdicts) != sorted(mail.id for mail in batch):
            raise WrongAnswer(f"{len(batch)} mails have verdicts {[one.id for one in verdicts]}")

    def minutes(self, client: Client, rng: random.Random) -> None:
        """Every part was read."""
        made = client.minutes(rng.choice(self._material.dialogues), timeout_s=TIMEOUT_S)
        if made.account is None or not made.account.complete:
            raise WrongAnswer(f"minutes are not complete: {made.account}")

    def bad(self, client: Client, rng: random.Random) -> None:
        """What is to be refused."""
        call, content, options = rng.choice(material.BAD)
        if call in ("clip", "transcribe"):
            audio = self._material.clips[min(self._material.clips)] if call == "clip" else content
            client.transcribe(audio, timeout_s=TIMEOUT_S, **options)
        elif call == "chat":
            list(client.chat(content, timeout_s=TIMEOUT_S, **options))
        elif call == "triage":
            list(client.triage(content, timeout_s=TIMEOUT_S, **options))
        else:
            client.minutes(content, timeout_s=TIMEOUT_S, **options)

    def leaves(self, client: Client, rng: random.Random) -> None:
        """A caller that leaves at some place. Raises Left where it came so far."""
        place = rng.choice(PLACES)
        if place in STAGES:
            self._leave_at(client, place, rng)
        elif place == "upload":
            client.transcribe(_Broken(self._material.long, rng), timeout_s=TIMEOUT_S, **OPTIONS)
        elif place == "timeout":
            self._hurry(client)
        elif place == "closed":
            self._close(client, rng)
        else:
            self._leave_text(client, place, rng)

    def _leave_at(self, client: Client, stage: str, rng: random.Random) -> None:
        audio = rng.choice((*self._material.clips.values(), self._material.long))
        stream = client.transcribe_stream(audio, timeout_s=TIMEOUT_S, **OPTIONS)
        with closing(stream):
            for event in stream:
                if isinstance(event, Progress) and event.stage == stage:
                    raise Left(f"left at {stage}")

    def _hurry(self, client: Client) -> None:
        try:
            client.transcribe(self._material.long, timeout_s=BRIEF_S, **OPTIONS)
        except DeadlineExceeded as error:
            raise Left(f"a timeout of {BRIEF_S} s") from error

    def _close(self, client: Client, rng: random.Random) -> None:
        """Close the connection amid a call; the call says so."""
        own = Client(self._url)
        is_closed = threading.Event()  # before it is: a timer has "finished" only afterwards

        def close() -> None:
            is_closed.set()
            own.close()

        timer = threading.Timer(rng.uniform(0.1, 2.0), close)
        timer.start()
        try:
            own.transcribe(self._material.long, timeout_s=TIMEOUT_S, **OPTIONS)
        except Exception as error:
            if is_closed.is_set():
                raise Left(f"closed its connection ({type(error).__name__})") from error
            raise
        finally:
            timer.cancel()
            own.close()

    def _leave_text(self, client: Client, model: str, rng: random.Random) -> None:
        streams: Mapping[str, Callable[[], Any]] = {
            "chat": lambda: client.chat("Tell a long story.", max_tokens=256, timeout_s=TIMEOUT_S),
            "triage": lambda: client.triage(rng.choice(self._material.mails), timeout_s=TIMEOUT_S),
            "minutes": lambda: client.minutes_stream(
                rng.choice(self._material.dialogues), timeout_s=TIMEOUT_S
            ),
        }
        with closing(streams[model]()) as stream:
            for _ in stream:
                raise Left(f"left {model} after its first piece")


class _Broken(io.BytesIO):
    """A file that cannot be read to its end."""

    def __init__(self, data: bytes, rng: random.Random) -> None:
        super().__init__(data)
        self._until = rng.randrange(len(data) // 2, len(data))

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= self._until:
            raise Left("left amid the upload")
        return super().read(size)

    def readinto(self, buffer: Any, /) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _transcribed(client: Client, audio: bytes) -> Transcript:
    found = client.transcribe(audio, timeout_s=TIMEOUT_S, **OPTIONS)
    _verify(found)
    return found


def _verify(transcript: Transcript) -> None:
    """Raises WrongAnswer where seconds of the recording are not accounted for."""
    account = transcript.account
    told_s = account.transcribed_s + account.silence_s + account.dropped_s
    if abs(told_s - transcript.duration_s) > 0.1 + 0.01 * transcript.duration_s:
        raise WrongAnswer(f"{told_s:.2f} of {transcript.duration_s:.2f} s are accounted for")
