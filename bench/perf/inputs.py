"""What perf_analyzer sends: real speech and real mails as its `--input-data` JSON.

The format: docs/input_data.md of triton-inference-server/perf_analyzer. Every tensor travels as
`b64`, raw and little-endian, with its shape: the format's lists have no FP16, and its texts no
bytes.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench import recordings
from bench.mails import Labelled, labelled
from onecard.audio import Pcm
from onecard.options.transcribe import TranscribeOptions
from onecard.recognition import engine as decoding
from onecard.recognition.engine import Decode, Decoded
from onecard.recognition.recognizer import Recognizer

Tensor = dict[str, Any]
Step = dict[str, Tensor]  # one request: its tensors by name

CLIP_S = 5
# Few, so that every level goes through all of them: one that is hard to hear takes five times as
# long as another. Of each clip as many takes as the engine cannot keep encoder outputs of: it keeps
# those of twice its largest batch, and here answers nothing from them.
NUM_CLIPS = NUM_MAILS = 6
NUM_TAKES = 4
FIRST_CLIP_S = 5  # before it nobody speaks
LANGUAGE = "en"
CHAT_TOKENS = 64  # of every answer, so that one run's tokens a second compare with another's
QUESTION = "Summarise this mail in two sentences."
_BYTES_LENGTH = struct.Struct("<I")  # before each BYTES element (KServe v2, binary data)
# perf_analyzer asks for every output that a model has. `output_log_probs` is one that the CPU
# engine gives for a beam of one alone, so none are asked for: the search is the same.
_LEFT_OUT = "return_log_probs"


def clips() -> list[Pcm]:
    """[CLIP_S x 16000] samples each; other ones at every call (`recordings.fresh`).

    Raises InstallError where recordings are missing.
    """
    starts = [FIRST_CLIP_S + CLIP_S * index for index in range(NUM_CLIPS)] * NUM_TAKES
    return [recordings.fresh(recordings.clip(CLIP_S, start_s)) for start_s in starts]


def mails() -> list[Labelled]:
    """From all of the labelled ones, which lie sorted by category."""
    found = labelled()
    return found[:: len(found) // NUM_MAILS][:NUM_MAILS]


def transcribe(pieces: Sequence[Pcm]) -> list[Step]:
    """A WAV file and default options a request."""
    return [{"AUDIO": text(recordings.wav(pcm)), "OPTIONS": text(b"{}")} for pcm in pieces]


def whisper(pieces: Sequence[Pcm], recognizer: Recognizer) -> list[Step]:
    """What `recognize` asks the engine for each piece: features, prompt, options."""
    asked: list[Decode] = []
    tokenizer = recognizer.tokenizer
    answer = Decoded(tuple(tokenizer.encode(" Yes.")), 0.0)  # certain, so it is asked but once

    def engine(requests: Iterable[Decode]) -> Iterator[Decoded]:
        for request in requests:
            asked.append(request)
            yield answer

    speech = {"chunks": [{"start": 0.0, "end": float(CLIP_S)}]}
    for pcm in pieces:
        recognizer.recognize(pcm, speech, TranscribeOptions(language=LANGUAGE), engine)
    return [
        {name: tensor(value) for name, value in tensors.items() if name != _LEFT_OUT}
        for tensors in (decoding.to_tensors(request, tokenizer.end) for request in asked)
    ]


def chat(asked: Sequence[Labelled]) -> list[Step]:
    """A mail to sum up in CHAT_TOKENS tokens, whatever the model would say."""
    options = {"max_tokens": CHAT_TOKENS, "min_tokens": CHAT_TOKENS, "temperature": 0.0}
    return [
        {
            "MESSAGES": _json([{"role": "user", "content": f"{QUESTION}\n\n{mail.email.body}"}]),
            "OPTIONS": _json(options),
        }
        for mail in asked
    ]


def triage(asked: Sequence[Labelled]) -> list[Step]:
    """One mail a request, with the plan's options."""
    return [{"EMAILS": _json([mail.email.to_dict()]), "OPTIONS": _json({})} for mail in asked]


def write(steps: Sequence[Step], path: Path) -> None:
    """perf_analyzer goes through `steps` in order, and begins again."""
    path.write_text(json.dumps({"data": list(steps)}), encoding="utf-8")


def tensor(values: npt.NDArray[Any]) -> Tensor:
    """Numbers, without a batch dimension."""
    return _raw(np.ascontiguousarray(values).tobytes(), values.shape)


def text(content: bytes) -> Tensor:
    """One BYTES element."""
    return _raw(_BYTES_LENGTH.pack(len(content)) + content, (1,))


def _json(content: Any) -> Tensor:
    return text(json.dumps(content, ensure_ascii=False).encode())


def _raw(content: bytes, shape: Sequence[int]) -> Tensor:
    return {"b64": base64.b64encode(content).decode("ascii"), "shape": list(shape)}
