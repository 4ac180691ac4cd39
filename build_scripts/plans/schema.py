"""The sections of a plan: what each key means, and which values it may have.

The texts below the keys are what editors show (plans/plan.schema.json) and the table of
docs/gpu/plans.md; `make repository` writes both.
"""

from __future__ import annotations

import re
from dataclasses import field
from typing import Annotated, Any, ClassVar, Literal, cast, get_args

from pydantic import Field
from pydantic.dataclasses import dataclass

from build_scripts.errors import PlanError
from build_scripts.plans.section import CONFIG, Section
from build_scripts.plans.values import Count, Flag, Names, Number, SomeNames, Text
from onecard.contract import pipeline

MAX_VRAM_GIB = 10_000
WHISPER = "whisper"  # the first one's engine
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
    "tiny.en",
]
SpeechPrecision = Literal["float16", "int8"]
Quantisation = Literal["int4_awq", "int4_gptq", "int8", "float16", "gguf"]
Residence = Literal["resident", "on_demand"]
Topology = Literal["one_process", "two_servers", "orchestrator"]


@dataclass(frozen=True, config=CONFIG)
class Card(Section):
    """The GPU. Left out, as [fit] then is, in a plan for the CPU."""

    name: Text  # an empty one is a part of every name
    """What the driver calls the GPU, or some whole words of that; `PLAN=auto` looks for it."""
    sm: Annotated[int, Field(strict=True, ge=50)]
    """Compute capability, 86 for 8.6. Engines run only on the one they were built for."""
    vram_gib: Annotated[Number, Field(ge=1, le=MAX_VRAM_GIB)]
    """Its memory as `nvidia-smi` says, in GiB. The one dial: change it alone, and [fit] says what
    follows. Error correction takes 1/16 of an A10's or A40's."""
    headroom_gib: Annotated[Number, Field(ge=0)]
    """Memory that is kept free, in GiB, for a desktop and for what no sum foresees."""
    unified: Flag = False
    """Whether the memory is the machine's, as on GB10. The host's own need is counted then."""

    def __post_init__(self) -> None:
        if self.headroom_gib >= self.vram_gib:
            raise PlanError(
                f"card.headroom_gib is `{self.headroom_gib}`, must be less than card.vram_gib, "
                f"`{self.vram_gib}`"
            )


# Of a further Whisper: a part of Triton's name of the model, and of a parameter with commas.
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")


@dataclass(frozen=True, config=CONFIG)
class Further(Section):
    """A further Whisper beside the first one, with its batch and beams."""

    title: ClassVar[str] = "speech.models.<name>"

    model: Literal["", SpeechModel] = ""
    """The size of a further Whisper; left out where its name says it."""
    precision: Literal["", SpeechPrecision] = ""
    """Of its weights; left out, that of the first one."""
    residence: Residence = "resident"
    """`resident` is loaded at the start and stays. `on_demand` is loaded when a request names it;
    those on demand take turns in the room of the largest."""


@dataclass(frozen=True, config=CONFIG)
class Speech(Section):
    """Whisper."""

    model: SpeechModel
    """The size of Whisper."""
    precision: SpeechPrecision
    """Of Whisper's weights; on the CPU, what CTranslate2 computes in."""
    beam_width: Count
    """Beams of a request that names none, and the most that one may name. Multiplies the
    self-attention cache; up to 3 beams the pools keep their size."""
    chunks_in_flight: Count
    """Chunks of at most 30 s that are decoded together: the engine's batch."""
    chunks_per_request: Count
    """Chunks of one recording that are decoded or wait at a time; two full batches are usual."""
    models: dict[str, Further] = field(default_factory=dict)
    """Further Whispers, `[speech.models.<name>]`: a request chooses one by `model`, its name."""

    def __post_init__(self) -> None:
        for name, further in self.models.items():
            if not _NAME.fullmatch(name):
                raise PlanError(
                    f"speech.models names `{name}`, must be small letters, digits, `.`, `_` and "
                    "`-`, 32 at most"
                )
            if name == self.model:
                raise PlanError(
                    f"speech.models names `{name}`, which is speech.model already: give the "
                    "further one another name"
                )
            if not further.model and name not in get_args(SpeechModel):
                raise PlanError(
                    f"speech.models.{name}.model is missing, and `{name}` is none of "
                    + ", ".join(get_args(SpeechModel))
                )


@dataclass(frozen=True, config=CONFIG)
class Align(Section):
    """wav2vec2, which times words."""

    device: Device
    """Where alignment runs."""
    precision: Literal["float16", "bfloat16", "float32"]
    """What it computes in: `bfloat16` on the CPU only, `float16` on a GPU only. A precision that
    the processor lacks becomes `float32`."""
    batch_size: Count
    """Segments in one forward pass on a GPU."""
    max_loaded: Count
    """Languages that are loaded at a time; the ledger counts the largest of them."""
    preload: Names = ()
    """Languages that are fetched, and loaded at the start."""
    languages: Names = ()
    """Languages that are fetched, and loaded when a recording has them, in place of the one that
    was not used for longest."""

    @property
    def fetched(self) -> tuple[str, ...]:
        """The languages whose models `engines` brings."""
        return tuple(dict.fromkeys((*self.preload, *self.languages)))

    def __post_init__(self) -> None:
        if self.max_loaded < len(self.preload):
            raise PlanError(
                f"align.max_loaded is `{self.max_loaded}`, must be at least {len(self.preload)}, "
                "as many as align.preload has"
            )


@dataclass(frozen=True, config=CONFIG)
class Diarize(Section):
    """pyannote, which tells speakers apart."""

    device: Device
    """Where diarization runs."""
    segmentation_batch_size: Count
    """Windows of 10 s in one forward pass of segmentation."""
    embedding_batch_size: Count
    """Windows of 10 s in one forward pass of speaker embedding."""
    segmentation_precision: Literal["bfloat16", "float32"] = "float32"
    """Of the LSTM that finds speech and its speakers on the CPU. A precision that the processor
    lacks becomes `float32`; the result's `engine.detect_speech` says which it was."""
    pipeline: Text = "none"
    """`community-1` (pyannote's, where its terms were accepted, else the package's network with a
    warning), the directory of a pipeline, or `none` for the package's network."""


@dataclass(frozen=True, config=CONFIG)
class Llm(Section):
    """The language model."""

    checkpoint: Text
    """A Hugging Face repository (`owner/name`) or a directory; without a GPU `embedded` or the
    path of a GGUF file."""
    quantisation: Quantisation
    """The form of the checkpoint's weights; `gguf` without a GPU only."""
    context_tokens: Count
    """Tokens of one sequence, prompt and output; what the engine is built for."""
    kv_tokens: Count
    """Tokens of all sequences in flight together, at least `context_tokens`."""
    sequences_in_flight: Count
    """Sequences that are generated together: the engine's batch."""
    max_num_tokens: Count
    """Tokens of one step, which activations grow with; a longer prompt goes in pieces."""
    architecture: str = ""
    """The dimensions that the ledger computes with, by a name in `build_scripts/memory/shapes.py`;
    stated beside a [card]. Engines are made of Mistral's and Llama's; others can be planned."""
    revision: str = ""
    """The commit or branch of the Hugging Face repository."""
    engine: Literal["", "openvino", "llama.cpp"] = ""
    """What runs a GGUF file; stated without a [card] only."""

    def __post_init__(self) -> None:
        if self.kv_tokens < self.context_tokens:
            raise PlanError(
                f"llm.kv_tokens is `{self.kv_tokens}`, must be at least llm.context_tokens, "
                f"`{self.context_tokens}`: a sequence of that length would never fit"
            )


@dataclass(frozen=True, config=CONFIG)
class Chat(Section):
    """Defaults of a request to `chat`."""

    max_tokens: Count = 512
    """Tokens of output where a request names no number."""
    temperature: Annotated[Number, Field(ge=0, le=2)] = 0.15
    """Temperature where a request names none."""


@dataclass(frozen=True, config=CONFIG)
class Triage(Section):
    """What triage decides about emails, and how."""

    categories: SomeNames
    """What an email may be about."""
    priorities: SomeNames
    """How urgent an email may be, most urgent first."""
    mails_per_call: Count
    """Emails that share one call of the language model, and its context window."""
    max_tokens_per_mail: Count
    """Tokens of output for each email."""
    max_calls_in_flight: Count
    """Calls of the language model at a time; each may take a whole context window."""
    drafts: Flag = True
    """Whether replies are drafted."""
    instructions: str = ""
    """Who you are and how to judge, in place of the built-in text; empty for that text."""
    confidence_threshold: Annotated[Number, Field(ge=0, le=1)] = 0.5
    """A verdict with less confidence is marked for review."""
    max_speech_wait_s: Annotated[Number, Field(ge=0)] = 120.0
    """Seconds that one request waits in sum for speech to go first."""


@dataclass(frozen=True, config=CONFIG)
class Fit(Section):
    """How far `card.vram_gib` alone may move the rest."""

    min_chunks_in_flight: Count
    """The fewest chunks in flight; they give way first."""
    max_chunks_in_flight: Count
    """The most chunks in flight."""
    min_context_tokens: Count
    """The shortest context, which gives way second."""
    max_context_tokens: Count
    """The longest context."""
    precisions: tuple[SpeechPrecision, ...] = ()
    """What `speech.precision` may be lowered to, last of all; empty: never."""

    def __post_init__(self) -> None:
        for key in ("chunks_in_flight", "context_tokens"):
            least, most = getattr(self, f"min_{key}"), getattr(self, f"max_{key}")
            if least > most:
                raise PlanError(
                    f"fit.min_{key} is `{least}`, must be at most fit.max_{key}, `{most}`"
                )


@dataclass(frozen=True, config=CONFIG)
class Serving(Section):
    """Where the engines live."""

    topology: Topology = "one_process"
    """`one_process` for both engines in one tritonserver, `two_servers` for one each.
    `orchestrator` is refused, with the reason."""

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
class Whisper:
    """One of a plan's Whispers.

    Attributes:
        name: by which a request chooses it.
        engine: what it is called in the model repository, and its directory below `engines/`.
    """

    name: str
    engine: str
    model: SpeechModel
    precision: SpeechPrecision
    on_demand: bool = False  # loaded when a request names it, in place of another such one


@dataclass(frozen=True, config=CONFIG)
class Plan(Section):
    """What one GPU, or none, runs and with which numbers."""

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
    """Replaces entries of one model in `build_scripts/model_repository/models.py`."""

    @property
    def whispers(self) -> tuple[Whisper, ...]:
        """Every Whisper of [speech]; the first is what a request gets that names none."""
        speech = self.speech
        first = Whisper(speech.model, WHISPER, speech.model, speech.precision)
        return (
            first,
            *(
                Whisper(
                    name,
                    f"{pipeline.FURTHER}{name}",
                    further.model or cast(SpeechModel, name),
                    further.precision or speech.precision,
                    further.residence == "on_demand",
                )
                for name, further in speech.models.items()
            ),
        )

    @property
    def residents(self) -> tuple[Whisper, ...]:
        """The Whispers that are loaded at the start; the first one is among them."""
        return tuple(whisper for whisper in self.whispers if not whisper.on_demand)

    @property
    def on_demand(self) -> tuple[Whisper, ...]:
        """The Whispers of which one at a time is loaded, for a request that names it."""
        return tuple(whisper for whisper in self.whispers if whisper.on_demand)
