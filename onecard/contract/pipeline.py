"""Every pipeline model's tensors and the ensemble that connects them: one table.

config.pbtxt files are generated from it, models and tests read it. Hardware is the plan's. The
engines' contract is NVIDIA's, in `onecard.contract.trtllm`.

Dims leave out the batch dimension, which is 1 on the wire. `N` samples at 16 kHz; `C` windows,
`F` frames, `S` local speakers of the segmentation scores. JSON documents travel as one BYTES
element of UTF-8.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from onecard.contract.tensor import Tensor

AUDIO = Tensor("AUDIO", "TYPE_STRING", (1,))  # the bytes of a file, or raw PCM
OPTIONS = Tensor("OPTIONS", "TYPE_STRING", (1,))  # onecard.options.transcribe
PCM = Tensor("PCM", "TYPE_INT16", (-1,), ragged=True)  # [N] mono, 16 kHz
CLIP = Tensor("CLIP", "TYPE_STRING", (1,))  # what the source was: duration, rate, channels
SPEECH = Tensor("SPEECH", "TYPE_STRING", (1,))  # speech regions and the chunks made of them
SCORES = Tensor("SCORES", "TYPE_FP32", (-1, -1, -1))  # [C, F, S] segmentation, shared
EMBEDDINGS = Tensor("EMBEDDINGS", "TYPE_FP32", (-1, -1, -1))  # [C, S, D] of local speakers
SEGMENTS = Tensor("SEGMENTS", "TYPE_STRING", (1,))  # recognized text, one segment a chunk
ALIGNED = Tensor("ALIGNED", "TYPE_STRING", (1,))  # sentences with word times
TURNS = Tensor("TURNS", "TYPE_STRING", (1,))  # who spoke when
RESULT = Tensor("RESULT", "TYPE_STRING", (1,))  # onecard/contract/schemas/result.schema.json
EVENT = Tensor("EVENT", "TYPE_STRING", (1,))  # progress, segments, deltas, verdicts, result
MESSAGES = Tensor("MESSAGES", "TYPE_STRING", (1,))  # [{"role", "content"}, ...]
# A RESULT, or what has its segments; or AUDIO in its place.
TRANSCRIPT = Tensor("TRANSCRIPT", "TYPE_STRING", (1,), optional=True)
EMAILS = Tensor("EMAILS", "TYPE_STRING", (1,))  # [{"id", "from", "to", "date", "subject", "body"}]
MAY_HAVE_OPTIONS = replace(OPTIONS, optional=True)  # left out: the plan's defaults
# Of a long recording, joined from its parts; left out, or without windows: computed from PCM. Where
# they are there, PCM is not needed, and NUM_SAMPLES says how much of it there is.
MAY_HAVE_SCORES = replace(SCORES, optional=True)
MAY_HAVE_EMBEDDINGS = replace(EMBEDDINGS, optional=True)
MAY_HAVE_PCM = replace(PCM, optional=True)
NUM_SAMPLES = Tensor("NUM_SAMPLES", "TYPE_INT64", (1,), optional=True)  # N
# References of `onecard.audio.spool`: read in place of AUDIO, written in place of PCM, then empty.
AUDIO_FILE = Tensor("AUDIO_FILE", "TYPE_STRING", (1,), optional=True)
PCM_FILE = Tensor("PCM_FILE", "TYPE_STRING", (1,), optional=True)
# Of an array there, in place of SCORES and EMBEDDINGS.
SCORES_FILE = Tensor("SCORES_FILE", "TYPE_STRING", (1,), optional=True)
EMBEDDINGS_FILE = Tensor("EMBEDDINGS_FILE", "TYPE_STRING", (1,), optional=True)
MAY_HAVE_AUDIO = replace(AUDIO, optional=True)


@dataclass(frozen=True)
class Model:
    """A Python model's interface; `decoupled` models answer with any number of responses.

    `calls`: the models it calls itself (BLS), which must outlive its requests.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    decoupled: bool = False
    calls: tuple[str, ...] = ()


# Steps connect by tensor name. Triton starts one as soon as its inputs are there, so diarize
# runs at the same time as recognize and align.
TRANSCRIBE_STEPS = ("decode_audio", "detect_speech", "recognize", "align", "diarize", "label")
ENSEMBLE = "transcribe"
CALLS = "calls"  # parameter of a config.pbtxt: the models that a model calls, comma-separated
# Parameter of a config.pbtxt: the names of the Whispers that are loaded on demand, comma-separated.
ON_DEMAND = "speech_on_demand"
LEDGER = "ledger"  # parameter of the ensemble's config.pbtxt: what the plan's card holds, in JSON
OWNER_HEADER = "onecard-control"  # of a request, with the server's secret: all is let through
# Parameters of a request. A failed call from model to model arrives with its message and always
# the code INTERNAL (seen in Triton 2.51), so these calls ask for the code in the message.
CODE_IN_MESSAGE = "code_in_message"
# Which part of which upload a request holds, and whether it is the last one.
UPLOAD, PART, IS_LAST = "upload", "part", "is_last"
TRANSCRIBE = Model((AUDIO, OPTIONS), (RESULT,))

# Engines, whose tensors are NVIDIA's contract (`onecard.contract.trtllm`). True: it is decoupled.
# A plan's further Whispers are engines of the first one's kind, and have its name before theirs.
ENGINES = {"whisper": False, "llm": True}
FURTHER = "whisper_"


def engine_kind(model: str) -> str | None:
    """The engine of ENGINES that `model` is one of; None for a Python model or the ensemble."""
    if model in ENGINES:
        return model
    return FURTHER.removesuffix("_") if model.startswith(FURTHER) else None


def on_demand(names: str) -> tuple[str, ...]:
    """The engines of what a parameter ON_DEMAND says."""
    return tuple(f"{FURTHER}{name}" for name in names.split(",") if name)


PYTHON_MODELS: dict[str, Model] = {
    "decode_audio": Model((MAY_HAVE_AUDIO, AUDIO_FILE, PCM_FILE, OPTIONS), (PCM, CLIP)),
    "detect_speech": Model(
        (MAY_HAVE_PCM, NUM_SAMPLES, MAY_HAVE_SCORES, SCORES_FILE, OPTIONS), (SPEECH, SCORES)
    ),
    "recognize": Model((PCM, SPEECH, OPTIONS), (SEGMENTS,), calls=("whisper",)),
    "align": Model((PCM, SEGMENTS, OPTIONS), (ALIGNED,)),
    "diarize": Model(
        (
            MAY_HAVE_PCM,
            NUM_SAMPLES,
            MAY_HAVE_SCORES,
            SCORES_FILE,
            MAY_HAVE_EMBEDDINGS,
            EMBEDDINGS_FILE,
            OPTIONS,
        ),
        (TURNS, EMBEDDINGS),
    ),
    "label": Model((CLIP, SPEECH, ALIGNED, TURNS, OPTIONS), (RESULT,)),
    "transcribe_stream": Model((AUDIO, OPTIONS), (EVENT,), decoupled=True, calls=TRANSCRIBE_STEPS),
    "chat": Model((MESSAGES, MAY_HAVE_OPTIONS), (EVENT,), decoupled=True, calls=("llm",)),
    "triage": Model((EMAILS, MAY_HAVE_OPTIONS), (EVENT,), decoupled=True, calls=("llm",)),
    "minutes": Model(
        (TRANSCRIPT, MAY_HAVE_AUDIO, MAY_HAVE_OPTIONS),
        (EVENT,),
        decoupled=True,
        calls=(*TRANSCRIBE_STEPS, "llm"),
    ),
}
