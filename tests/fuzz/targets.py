"""What is tried: who reads an input, and the inputs that are changed.

A target returns what it made of an input, or `refused: ...` and why; what it raises is a finding.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from onecard.errors import InvalidRequest, Unavailable
from tests.fuzz import documents, mutations, recordings
from tests.fuzz.children import Target


@dataclass(frozen=True)
class Kind:
    """Seeds are bytes or JSON documents."""

    make: Callable[[], Target]
    seeds: Callable[[], list[Any]]

    def input(self, seeds: list[Any], chance: random.Random) -> bytes:
        seed = chance.choice(seeds)
        if isinstance(seed, bytes):
            return mutations.mutated(seed, seeds, chance)
        return mutations.mutated_json(seed, chance)


def _refusing(read: Callable[[bytes], object]) -> Target:
    def target(data: bytes) -> str:
        try:
            return str(read(data))[:200]
        except (InvalidRequest, Unavailable) as error:
            told = str(error)
            if "ended the process" in told:  # served as a refusal, and a crash all the same
                raise
            return f"refused: {told[:300]}"

    return target


def _audio() -> Target:
    from onecard import audio
    from onecard.audio.decoding import decoder
    from onecard.audio.decoding.order import Order

    decoding = decoder.Decoder()
    order = Order(audio.Limits(max_audio_s=600.0, max_audio_bytes=20_000_000))

    def read(data: bytes) -> object:
        with decoder.memory() as target:
            return decoding.decode(order, data, target).duration_s

    return _refusing(read)


def _raw() -> Target:
    """Sound without a header: the first three bytes choose its coding, rate and channels."""
    from onecard import audio
    from onecard.audio.decoding import decoder
    from onecard.audio.decoding.order import Order
    from onecard.audio.encodings import ENCODINGS
    from onecard.options.transcribe import TranscribeOptions

    decoding = decoder.Decoder()
    limits = audio.Limits(max_audio_s=600.0, max_audio_bytes=20_000_000)
    names = sorted(ENCODINGS)

    def read(data: bytes) -> object:
        number, rate, channels = (data + bytes(3))[:3]
        name = names[number % len(names)]
        coding = ENCODINGS[name]
        asked = TranscribeOptions(
            encoding=name,
            sample_rate=coding.sample_rate or (8_000, 16_000, 1_000, 384_000)[rate % 4],
            channels=1 if coding.is_mono else (1, 2, 3, 6, 8, 9, 64, 70)[channels % 8],
        )
        form = audio.Form(asked.encoding, asked.sample_rate, asked.channels)
        with decoder.memory() as target:
            return decoding.decode(Order(limits, form=form), data[3:], target).duration_s

    return _refusing(read)


def _mail() -> Target:
    """The client's reader, of a mail and of a mailbox, and the request that comes of it."""
    import tempfile
    from pathlib import Path

    from onecard_client import OnecardError, mail
    from onecard_client._mailbox import sources
    from onecard_client._mailbox.mime import NotAMail, email_from_bytes

    path = Path(tempfile.mkdtemp(prefix="onecard-fuzz-")) / "mail.mbox"

    def read(data: bytes) -> str:
        try:
            mail.emails_to_json([email_from_bytes(data, "made-up")])
        except (OnecardError, NotAMail) as error:
            return f"refused: {str(error)[:300]}"
        path.write_bytes(data)
        found = list(sources.read([str(path)], lambda *_: None))
        return f"{len(found)} mails"

    return read


def _emails() -> Target:
    """The server's reader of EMAILS."""
    from onecard.triage import mail
    from onecard.triage.shortening import shorten

    def read(data: bytes) -> object:
        mails = mail.parse(_text(data))
        for found in mails[:5]:
            shorten(found.body, 200, lambda text: len(text) // 3)
        return len(mails)

    return _refusing(read)


def _options() -> Target:
    """Every kind of OPTIONS, and MESSAGES."""
    from onecard.chat import messages, options
    from onecard.options import fields
    from onecard.options.transcribe import StreamOptions, TranscribeOptions
    from onecard.triage.options import TriageOptions

    readers: list[Callable[[str], object]] = [
        options.read,
        messages.read,
        *(
            lambda text, kind=kind: fields.parse(kind, text)
            for kind in (TranscribeOptions, StreamOptions, TriageOptions)
        ),
        lambda text: fields.parse(TranscribeOptions, "{}", _parameters(text)),
    ]

    def read(data: bytes) -> str:
        told = [
            _refusing(lambda data, reader=reader: reader(_text(data)))(data) for reader in readers
        ]
        taken = [text for text in told if not text.startswith("refused")]
        return f"{len(taken)} readers took it" if taken else told[0]

    return read


def _schema() -> Target:
    """`response_format` to what an engine is asked for."""
    from onecard.chat import response_format

    def read(data: bytes) -> object:
        schema = json.loads(data)
        form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        found = response_format.read(form)
        return "nothing" if found is None else found.problem('{"a": 1}')

    def target(data: bytes) -> str:
        try:
            json.loads(data)
        except (ValueError, RecursionError):
            return "refused: no JSON, which is told before"
        return _refusing(read)(data)

    return target


def _parameters(text: str) -> str:
    """As Triton gives those of a request: an object."""
    try:
        return text if isinstance(json.loads(text), dict) else "{}"
    except (ValueError, RecursionError):
        return "{}"


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"no UTF-8: {error}") from error


KINDS = {
    "audio": Kind(_audio, lambda: list(recordings.all_forms().values())),
    "raw": Kind(_raw, lambda: [random.Random(n).randbytes(4_003) for n in range(80)]),
    "mail": Kind(_mail, lambda: documents.MAILS),
    "emails": Kind(_emails, lambda: documents.EMAILS),
    "options": Kind(_options, lambda: documents.OPTIONS),
    "schema": Kind(_schema, lambda: documents.SCHEMAS),
}
