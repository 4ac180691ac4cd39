"""A plan: what one card (or none) runs and with which numbers; the only file an operator edits.

It knows how a plan is written and what is wrong with one; it knows nothing of bytes (`ledger`), of
how engines are built or of Triton's syntax (`serving`, `repository`).
"""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_type_hints

from build_scripts.errors import PlanError
from build_scripts.plans import together, values

PLANS = Path("plans")
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


SECTIONS: dict[str, type[Any]] = {
    "card": Card,
    "speech": Speech,
    "align": Align,
    "diarize": Diarize,
    "llm": Llm,
    "chat": Chat,
    "triage": Triage,
    "serving": Serving,
    "fit": Fit,
}
OPTIONAL = ("card", "fit", "chat", "serving")


def names() -> list[str]:
    return sorted(path.stem for path in PLANS.glob("*.toml") if path.is_file())


def load(name: str) -> Plan:
    """The plan `plans/<name>.toml`.

    Raises:
        PlanError: no such plan, not UTF-8 or TOML, or an unknown, missing, ill-typed or impossible
            value.
    """
    if name not in names():  # so that no name leads out of the directory
        near = difflib.get_close_matches(name.lower(), names(), n=1)
        meant = f"; `{near[0]}` is the nearest" if near else ""
        raise PlanError(f"no plan `{name}`; there are: {', '.join(names())}{meant}")
    path = PLANS / f"{name}.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise PlanError(f"{path} is not UTF-8 ({error}); save it as that") from error
    except OSError as error:
        raise PlanError(f"{path} cannot be read ({error.strerror}); mend that") from error
    return parse(name, text, str(path))


def parse(name: str, text: str, where: str) -> Plan:
    """The plan that `text` states; `where` names it in errors. Raises PlanError."""
    try:  # here, because `demo` imports this module before setup brings a reader to Python 3.10
        import tomllib
    except ModuleNotFoundError:
        import tomli as tomllib  # type: ignore[no-redef]

    try:
        found = tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        raise PlanError(f"{where} is not TOML ({error}); mend it") from error
    try:
        _verify_keys("the top", found, [*SECTIONS, "models"])
        missing = [key for key in SECTIONS if key not in found and key not in OPTIONAL]
        if missing:
            raise PlanError(f"there is no [{missing[0]}]; a plan states every section")
        if ("card" in found) != ("fit" in found):
            raise PlanError("[card] and [fit] go together; without a GPU there is neither")
        sections = {key: _section(key, kind, found) for key, kind in SECTIONS.items()}
        given = {key: value for key, value in sections.items() if value is not None}
        overrides = values.table("models", found) if "models" in found else {}
        read = Plan(name, overrides=overrides, **given)
        together.verify(read)
        return read
    except PlanError as error:
        raise PlanError(f"{where}: {error}") from None


def with_vram(plan: Plan, vram_gib: float | None) -> Plan:
    """The same plan for another amount of memory; None: its own. Raises PlanError where it states
    no card."""
    if vram_gib is None:
        return plan
    if plan.card is None:
        raise PlanError(
            f"plan `{plan.name}` states no card, so no amount of VRAM either, and `{vram_gib:g}` "
            "GiB of it were asked for: leave out VRAM_GIB (--vram), or name a plan with a [card]"
        )
    return dataclasses.replace(plan, card=dataclasses.replace(plan.card, vram_gib=vram_gib))


def verify_known(where: str, key: str, known: list[str]) -> None:
    """Raises PlanError that names the nearest known key."""
    if key not in known:
        near = difflib.get_close_matches(key, known, n=1) or known
        raise PlanError(f"unknown key `{key}` in {where}; known: {', '.join(near)}")


def _section(name: str, kind: type[Any], found: dict[str, Any]) -> Any:
    if name not in found:
        return None
    table = values.table(name, found)
    _verify_keys(name, table, [one.name for one in dataclasses.fields(kind)])
    hints = get_type_hints(kind)
    for one in dataclasses.fields(kind):
        required = one.default is dataclasses.MISSING
        if required and one.name not in table:
            raise PlanError(f"{name}.{one.name} is missing")
    return kind(
        **{key: values.of_type(f"{name}.{key}", hints[key], value) for key, value in table.items()}
    )


def _verify_keys(where: str, found: dict[str, Any], known: list[str]) -> None:
    for key in found:
        verify_known(where, key, known)
