"""The sections of a plan: what each key is, and which values it may have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from build_scripts.errors import PlanError
from build_scripts.plans import values

MAX_VRAM_GIB = 10_000
DEFAULT_PLAN = "cpu"  # its configuration is the config.pbtxt; others are configs/<plan>.pbtxt

Device = Literal["cuda", "cpu"]
SpeechModel = Literal[
    "base",
    "small",
    "medium",
    "large-v2",
    "large-v3",
    "large-v3-turbo",
    "distil-large-v2",
    "distil-large-v3",
]
SpeechPrecision = Literal["float16", "int8"]
Quantisation = Literal["int4_awq", "int4_gptq", "int8", "float16", "gguf"]
Topology = Literal["one_process", "two_servers", "orchestrator"]


@dataclass(frozen=True)
class Card:
    """The GPU. `name`: what the driver calls it, or a part of that; `sm`: compute capability, 86
    for 8.6. `unified`: its memory is the machine's, as on GB10."""

    name: str
    sm: int
    vram_gib: float
    headroom_gib: float
    unified: bool = False

    def __post_init__(self) -> None:
        values.says_something("card.name", self.name)  # an empty one is a part of every name
        values.within("card.sm", self.sm, 50)
        values.within("card.vram_gib", self.vram_gib, 1, MAX_VRAM_GIB)
        values.within("card.headroom_gib", self.headroom_gib, 0)
        if self.headroom_gib >= self.vram_gib:
            raise PlanError(
                f"card.headroom_gib is `{self.headroom_gib}`, must be less than card.vram_gib, "
                f"`{self.vram_gib}`"
            )


@dataclass(frozen=True)
class Speech:
    """Whisper. `precision` of the weights. `chunks_in_flight`: of at most 30 s, decoded together
    (the engine's batch); `chunks_per_request`: of them and those waiting, from one recording."""

    model: SpeechModel
    precision: SpeechPrecision
    beam_width: int
    chunks_in_flight: int
    chunks_per_request: int

    def __post_init__(self) -> None:
        for key in ("beam_width", "chunks_in_flight", "chunks_per_request"):
            values.within(f"speech.{key}", getattr(self, key), 1)


@dataclass(frozen=True)
class Align:
    """wav2vec2 CTC. `precision`: in which it computes; on the CPU what the processor does not have
    becomes float32. `batch_size`: segments of one forward; `max_loaded`: languages at a time;
    `preload`: those loaded at the start; `languages`: those loaded when a recording has them, in
    the place of the one that was not used for longest."""

    device: Device
    precision: Literal["float16", "bfloat16", "float32"]
    batch_size: int
    max_loaded: int
    preload: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()

    @property
    def fetched(self) -> tuple[str, ...]:
        """The languages whose models `engines` brings."""
        return tuple(dict.fromkeys((*self.preload, *self.languages)))

    def __post_init__(self) -> None:
        values.names("align.preload", self.preload)
        values.names("align.languages", self.languages)
        values.within("align.batch_size", self.batch_size, 1)
        values.within("align.max_loaded", self.max_loaded, max(1, len(self.preload)))


@dataclass(frozen=True)
class Diarize:
    """pyannote. Batch sizes: windows of one forward. `segmentation_precision`: of the LSTM that
    `detect_speech` runs on the CPU, whose scores both use; what the processor does not have becomes
    float32. `pipeline`: a directory with a pyannote pipeline, or "none" for the embedded models."""

    device: Device
    segmentation_batch_size: int
    embedding_batch_size: int
    segmentation_precision: Literal["bfloat16", "float32"] = "float32"
    pipeline: str = "none"

    def __post_init__(self) -> None:
        values.within("diarize.segmentation_batch_size", self.segmentation_batch_size, 1)
        values.within("diarize.embedding_batch_size", self.embedding_batch_size, 1)
        values.says_something("diarize.pipeline", self.pipeline)


@dataclass(frozen=True)
class Llm:
    """The LLM.

    `checkpoint`: a Hugging Face repository (`owner/name`) or a directory; without a card
    "embedded" or a GGUF file. `revision`: of the repository, a commit. `architecture`: a name in
    `architectures.LLMS`. `context_tokens`: of one sequence, prompt and output; `kv_tokens`: of all
    sequences in flight together. `max_num_tokens`: of one step, which activations grow with.
    `engine`: what runs a GGUF file, without a card only.
    """

    checkpoint: str
    quantisation: Quantisation
    context_tokens: int
    kv_tokens: int
    sequences_in_flight: int
    max_num_tokens: int
    architecture: str = ""
    revision: str = ""
    engine: Literal["", "openvino", "llama.cpp"] = ""

    def __post_init__(self) -> None:
        values.says_something("llm.checkpoint", self.checkpoint)
        for key in ("context_tokens", "sequences_in_flight", "max_num_tokens"):
            values.within(f"llm.{key}", getattr(self, key), 1)
        if self.kv_tokens < self.context_tokens:
            raise PlanError(
                f"llm.kv_tokens is `{self.kv_tokens}`, must be at least llm.context_tokens, "
                f"`{self.context_tokens}`: a sequence of that length would never fit"
            )


@dataclass(frozen=True)
class Chat:
    """Defaults of a request. `max_tokens`: of the output."""

    max_tokens: int = 512
    temperature: float = 0.15

    def __post_init__(self) -> None:
        values.within("chat.max_tokens", self.max_tokens, 1)
        values.within("chat.temperature", self.temperature, 0, 2)


@dataclass(frozen=True)
class Triage:
    """What triage decides and how. `mails_per_call` share one context window, with
    `max_tokens_per_mail` of output each. `instructions`: empty for the built-in text."""

    categories: tuple[str, ...]
    priorities: tuple[str, ...]
    mails_per_call: int
    max_tokens_per_mail: int
    max_calls_in_flight: int
    drafts: bool = True
    instructions: str = ""
    confidence_threshold: float = 0.5
    max_speech_wait_s: float = 120.0

    def __post_init__(self) -> None:
        for key in ("mails_per_call", "max_tokens_per_mail", "max_calls_in_flight"):
            values.within(f"triage.{key}", getattr(self, key), 1)
        if not self.categories or not self.priorities:
            raise PlanError("triage.categories and triage.priorities must not be empty")
        values.names("triage.categories", self.categories)
        values.names("triage.priorities", self.priorities)
        values.within("triage.confidence_threshold", self.confidence_threshold, 0, 1)
        values.within("triage.max_speech_wait_s", self.max_speech_wait_s, 0)


@dataclass(frozen=True)
class Fit:
    """How far `vram_gib` alone may move the rest (`refit` says in which order).

    `precisions`: what speech.precision may be lowered to; empty: never.
    """

    min_chunks_in_flight: int
    max_chunks_in_flight: int
    min_context_tokens: int
    max_context_tokens: int
    precisions: tuple[SpeechPrecision, ...] = ()

    def __post_init__(self) -> None:
        for key in ("chunks_in_flight", "context_tokens"):
            least, most = getattr(self, f"min_{key}"), getattr(self, f"max_{key}")
            values.within(f"fit.min_{key}", least, 1)
            if least > most:
                raise PlanError(
                    f"fit.min_{key} is `{least}`, must be at most fit.max_{key}, `{most}`"
                )


@dataclass(frozen=True)
class Serving:
    """`topology`: where the two engines live: `one_process` or `two_servers`. `orchestrator`, a
    worker process for each, is known so that it is refused with the reason."""

    topology: Topology = "one_process"

    def __post_init__(self) -> None:
        # initializeOrchestrator of cpp/tensorrt_llm/executor/executorImpl.cpp sends the worker that
        # it spawns one path, the decoder's (b35ac1b6, 036a60f7; executorWorker.cpp 06c0e9b1 builds
        # an Executor of that path alone), and [speech] is always Whisper.
        if self.topology == "orchestrator":
            raise PlanError(
                "serving.topology is `orchestrator`, must be `one_process` or `two_servers`: "
                "TensorRT-LLM's orchestrator gives the process that it spawns one model path, so "
                "Whisper, an encoder-decoder, would be served without its encoder; write "
                'topology = "one_process"'
            )


@dataclass(frozen=True)
class Plan:
    """`card` and `fit`: None for the plan without a GPU. `overrides`: model -> what its entry in
    the table of `serving` is replaced by."""

    name: str
    speech: Speech
    align: Align
    diarize: Diarize
    llm: Llm
    triage: Triage
    chat: Chat = field(default_factory=Chat)
    serving: Serving = field(default_factory=Serving)
    card: Card | None = None
    fit: Fit | None = None
    overrides: dict[str, dict[str, Any]] = field(default_factory=dict)
