"""How Triton serves a plan: a table of every model, its instances, queue and parameters.

What a plan does not say is chosen here, once; its `[models.*]` may replace any of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from build_scripts.errors import PlanError
from build_scripts.memory import kv_cache, ledger
from build_scripts.memory.deployment import Deployment
from build_scripts.memory.kv_cache import KvCaps
from build_scripts.plans import speaker_pipeline, values
from build_scripts.plans.schema import WHISPER, Plan, Whisper
from build_scripts.plans.values import verify_known
from onecard.contract import pipeline, trtllm
from onecard.contract.tensor import Tensor
from onecard.contract.whisper import NUM_TEXT_POSITIONS

# A chunk is decoded once, so dense speech may need more than OpenAI's 224; four are the prompt's.
WHISPER_NEW_TOKENS = NUM_TEXT_POSITIONS - 4

MAX_AUDIO_BYTES = 2_000_000_000  # of one recording as it is sent
MAX_QUEUED = 64  # requests that may wait for a model; more are refused

_CHUNKS = "change speech.chunks_in_flight instead"
_FRACTION = "it follows from the ledger; change card.headroom_gib instead"
_ALWAYS = "no key of a plan changes it; leave it out"
# What a plan's `[models.*]` may not replace, because the ledger or the engines count on it.
_FIXED = {
    "transcribe": {pipeline.LEDGER: _ALWAYS},
    "transcribe_stream": {"instances": "its one process gathers the parts of a recording"},
    "whisper": {
        "max_batch_size": _CHUNKS,
        "max_tokens_in_paged_kv_cache": _CHUNKS,
        "cross_kv_cache_fraction": _CHUNKS,
        "kv_cache_free_gpu_mem_fraction": _FRACTION,
        "max_attention_window_size": _ALWAYS,  # Whisper has no more positions
        "gpt_model_path": "change speech.model instead",
        "encoder_model_path": "change speech.model instead",
        "max_beam_width": "change speech.beam_width instead",
        "enable_kv_cache_reuse": _ALWAYS,
        "gpt_model_type": _ALWAYS,
    },
    "llm": {
        "max_batch_size": "change llm.sequences_in_flight instead",
        "max_tokens_in_paged_kv_cache": "change llm.kv_tokens instead",
        "kv_cache_free_gpu_mem_fraction": _FRACTION,
        "max_attention_window_size": "change llm.context_tokens instead",
        "gpt_model_path": "change llm.checkpoint instead",
        "max_beam_width": _ALWAYS,
        "enable_kv_cache_reuse": _ALWAYS,
        "gpt_model_type": _ALWAYS,
    },
}

# What runs the engines without a card, by the `backend` of their manifests.
CPU_WHISPER = "ctranslate2"
TENSORRT_LLM = "tensorrtllm"


@dataclass(frozen=True)
class ModelPlan:
    """How one model is served.

    `parameters` become config.pbtxt's `parameters` of the same names. An engine has `more_inputs`
    than NVIDIA's backend takes, and `more_outputs` than it gives.
    """

    name: str
    max_batch_size: int = 1
    instances: int = 1
    max_queue_size: int | None = None
    max_queue_delay_us: int | None = None
    default_timeout_us: int | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    more_inputs: tuple[Tensor, ...] = ()
    more_outputs: tuple[Tensor, ...] = ()
    more_calls: tuple[str, ...] = ()  # than the contract says, of a Python model


# The environment's names of the caps, and NVIDIA's names in config.pbtxt.
CAP_PARAMETERS = {
    kv_cache.TOKENS: "max_tokens_in_paged_kv_cache",
    kv_cache.WINDOW: "max_attention_window_size",
    kv_cache.FRACTION: "kv_cache_free_gpu_mem_fraction",
    kv_cache.CROSS_FRACTION: "cross_kv_cache_fraction",
}


def models(deployment: Deployment) -> dict[str, ModelPlan]:
    """Every model of the repository, as it is served. Raises PlanError for an odd override."""
    plan, caps = deployment.plan, deployment.kv_caps
    # Without a card only the engines queue. A step of the ensemble must not answer a cancelled
    # request with an error, as a dynamic batcher does: Triton 2.51 then ends the caller's request
    # twice and can crash (server issues #7368, #8034, mended later). So `align` gets one request at
    # a time there; its forward is batched over that request's segments, and over requests where the
    # server is newer.
    queued: dict[str, Any] = {} if plan.card is None else {"max_queue_size": MAX_QUEUED}
    table = [
        ModelPlan("transcribe", parameters={pipeline.LEDGER: ledger.told(plan, deployment.ledger)}),
        ModelPlan("transcribe_stream", parameters=_transcribe_stream(plan)),
        ModelPlan(
            "decode_audio",
            instances=2,
            parameters=_decode_audio(plan),
        ),
        # The ensemble hands over recordings whole: one that is long leaves the other instance to
        # short ones, as in `diarize`. Of a card's memory the ledger counts one.
        ModelPlan("detect_speech", instances=2, **queued, parameters=_detect_speech(plan)),
        # Each instance serves one request at a time; the engine batches their chunks.
        ModelPlan(
            "recognize",
            instances=4,
            **queued,
            parameters=_recognize(plan),
            more_calls=tuple(whisper.engine for whisper in plan.whispers[1:]),
        ),
        *(_whisper_model(plan, whisper, caps) for whisper in plan.whispers),
        ModelPlan(
            "align",
            # Requests whose segments go through the acoustic model together.
            max_batch_size=1 if plan.card is None else plan.align.batch_size,
            **queued,
            parameters=_align(plan),
        ),
        ModelPlan(
            "diarize",
            instances=_diarize_instances(plan),
            **queued,
            parameters=_diarize(plan),
        ),
        ModelPlan("label", parameters=_texts(max_gap_s=0.5, min_split_words=3, min_split_s=0.8)),
        ModelPlan(
            "llm",
            max_batch_size=plan.llm.sequences_in_flight,
            max_queue_size=MAX_QUEUED,
            parameters=_llm(plan, caps),
        ),
        ModelPlan("chat", parameters=_chat(plan, caps)),
        ModelPlan("triage", parameters=_triage(plan, caps)),
        ModelPlan("minutes", parameters=_minutes(plan, caps)),
    ]
    served = {model.name: model for model in table}
    for name, override in plan.overrides.items():
        verify_known("models", name, list(served))
        served[name] = _overridden(served[name], override)
    if plan.card is None:
        served["llm"] = _queued_by_the_engine(served["llm"])
    return served


def _whisper_model(plan: Plan, whisper: Whisper, caps: KvCaps) -> ModelPlan:
    return ModelPlan(
        whisper.engine,
        max_batch_size=plan.speech.chunks_in_flight,
        max_queue_size=256,  # chunks that may wait; more are refused
        max_queue_delay_us=5000,  # a batch waits this long for company
        default_timeout_us=600000000,
        parameters=_whisper(plan, whisper, caps),
        more_inputs=trtllm.WHISPER_INPUTS if plan.card is None else (),
        more_outputs=(trtllm.NO_SPEECH_PROB,) if plan.card is None else (),
    )


def _queued_by_the_engine(model: ModelPlan) -> ModelPlan:
    """The engine keeps count of who waits, as NVIDIA's executor does, and Triton's queue does not.

    A batcher whose queue has a limit or timeouts does not prefetch: a request that comes while the
    only instance takes another one wakes nobody, and is seen when the batcher looks again, half a
    second later (triton-inference-server/core, rate_limiter.cc, `PayloadSlotAvailable`, and
    scheduler_utils.cc, `support_prefetching_`). Taking a request is milliseconds of Python here;
    NVIDIA's backend reads its limit from the batcher's policy, and takes requests in C++, which
    should make that rare.
    """
    limit = {"cpu_max_queue_size": str(model.max_queue_size or 0)}
    return dataclasses.replace(
        model,
        max_queue_size=None,
        max_queue_delay_us=model.max_queue_delay_us or 0,
        parameters={**model.parameters, **limit},
    )


def _transcribe_stream(plan: Plan) -> dict[str, str]:
    on_gpu = plan.card is not None
    chunks_per_piece = 4 if on_gpu else 2
    if on_gpu:
        # A card wants its batch full: of recognition one is under way, and the next one complete
        # behind it.
        num_groups = 2 * -(-plan.speech.chunks_in_flight // chunks_per_piece)
        places = {"detect": 1, "recognize": num_groups, "align": plan.align.batch_size}
        places["diarize"] = _diarize_instances(plan)
        total = sum(places.values())
    else:
        # All stages share the cores, so two pieces are under way at a time, each small and of
        # another stage: a short recording waits for little.
        places = dict.fromkeys(("detect", "recognize", "align", "diarize"), 1)
        total = 2
    return _texts(
        max_streams=32,
        # For callers to read.
        speech_models=",".join(whisper.name for whisper in plan.whispers),
        **_on_demand(plan),
        max_audio_bytes=MAX_AUDIO_BYTES,
        windows_per_piece=64,  # some 35 s of audio
        chunks_per_piece=chunks_per_piece,
        diarize_in_pieces=plan.diarize.pipeline == "none",
        places=total,
        **{f"{stage}_places": number for stage, number in places.items()},
    )


def _diarize_instances(plan: Plan) -> int:
    return 1 if plan.diarize.device == "cuda" else 2


def _whispers(plan: Plan) -> dict[str, str]:
    """Parameters that say which Whispers there are, and what is asked of them."""
    return _texts(
        speech_models=",".join(whisper.name for whisper in plan.whispers),
        engine_dir=_engine(plan, WHISPER),  # the first one's; a further one's has its name behind
        engine_backend=CPU_WHISPER if plan.card is None else TENSORRT_LLM,
        max_beam_size=plan.speech.beam_width,
    )


def _on_demand(plan: Plan) -> dict[str, str]:
    """A parameter with the names of the Whispers that are loaded on demand; none without them."""
    names = ",".join(whisper.name for whisper in plan.on_demand)
    return {pipeline.ON_DEMAND: names} if names else {}


def _decode_audio(plan: Plan) -> dict[str, str]:
    return _texts(
        max_audio_s=21600.0,
        max_audio_bytes=MAX_AUDIO_BYTES,
        **_whispers(plan),  # what is refused for one is refused here
    )


def _detect_speech(plan: Plan) -> dict[str, str]:
    return _texts(
        cpu_share=1.0,  # of a recording nothing else can begin before it has ended
        segmentation=_engine(plan, "segmentation"),
        batch_size=8,  # more at a time fall out of the processor's caches
        precision=plan.diarize.segmentation_precision,
    )


def _recognize(plan: Plan) -> dict[str, str]:
    return _texts(
        **_whispers(plan),
        whisper_model=WHISPER,
        engine_precision=plan.speech.precision,
        speech_precisions=",".join(whisper.precision for whisper in plan.whispers),
        **_on_demand(plan),
        max_chunks_in_flight=plan.speech.chunks_per_request,
        beam_size=plan.speech.beam_width,
        max_new_tokens=WHISPER_NEW_TOKENS,
        max_seq_len=NUM_TEXT_POSITIONS,
    )


def _whisper(plan: Plan, whisper: Whisper, caps: KvCaps) -> dict[str, str]:
    engine = _engine(plan, whisper.engine)
    on_gpu = plan.card is not None
    here = {} if on_gpu else {"cpu_compute_type": whisper.precision, "cpu_share": 1.0}
    return _texts(
        gpt_model_type="inflight_fused_batching",
        gpt_model_path=f"{engine}/decoder" if on_gpu else engine,
        encoder_model_path=f"{engine}/encoder" if on_gpu else engine,
        max_beam_width=plan.speech.beam_width,
        batch_scheduler_policy="guaranteed_no_evict",
        decoding_mode="beam_search" if plan.speech.beam_width > 1 else "top_k_top_p",
        exclude_input_in_output=True,
        enable_kv_cache_reuse=False,
        normalize_log_probs=False,  # otherwise greedy decoding's output_log_probs are all 0
        # These three must exist, or NVIDIA's backend does not load the model.
        tokenizer_dir="",
        guided_decoding_backend="",
        xgrammar_tokenizer_info_path="",
        **_capped(caps[whisper.engine]),
        **here,
    )


def _align(plan: Plan) -> dict[str, str]:
    on_gpu = plan.card is not None
    return _texts(
        cpu_share=0.5 if on_gpu else 1.0,
        # One wav2vec2 model a language; a language without one goes on to the next.
        ctc_models=_engine(plan, "align"),
        ctc_preload=",".join(plan.align.preload) or "none",
        ctc_max_loaded=plan.align.max_loaded,
        ctc_batch_size=plan.align.batch_size,
        ctc_device=plan.align.device,
        ctc_dtype=plan.align.precision,
        pocketsphinx=not on_gpu,  # English, from a package
        # Cross-attention of a CTranslate2 Whisper, or none.
        attention_model="none" if on_gpu else _engine(plan, WHISPER),
        attention_compute_type="int8",
    )


def _diarize(plan: Plan) -> dict[str, str]:
    return _texts(
        cpu_share=0.5,
        **speaker_pipeline.served(plan),
        segmentation=_engine(plan, "segmentation"),
        embedding=_engine(plan, "embedding"),
        device=plan.diarize.device,
        segmentation_batch_size=plan.diarize.segmentation_batch_size,
        embedding_batch_size=plan.diarize.embedding_batch_size,
        segmentation_threshold=0.44,
        min_duration_off_s=0.1,
        clustering_method="centroid",
        clustering_threshold=0.5,
        min_cluster_size=8,
        max_clustered_embeddings=5000,
    )


def _llm(plan: Plan, caps: KvCaps) -> dict[str, str]:
    engine = _engine(plan, "llm")
    here: dict[str, Any] = {}
    if plan.card is None:
        here = {
            "cpu_compute_type": "float32",
            "cpu_share": 1.0,
            "cpu_nice": 10,  # speech comes first
            "cpu_max_num_tokens": plan.llm.max_num_tokens,
        }
    return _texts(
        gpt_model_type="inflight_fused_batching",
        gpt_model_path=engine,
        max_beam_width=1,
        batch_scheduler_policy="guaranteed_no_evict",
        decoding_mode="top_k_top_p",
        exclude_input_in_output=True,
        enable_chunked_context=True,
        enable_kv_cache_reuse=False,
        normalize_log_probs=False,
        tokenizer_dir=f"{engine}/tokenizer",
        guided_decoding_backend="xgrammar",
        xgrammar_tokenizer_info_path=f"{engine}/xgrammar_tokenizer_info.json",
        **_capped(caps["llm"]),
        **here,
    )


def _chat(plan: Plan, caps: KvCaps) -> dict[str, str]:
    return _texts(
        **_llm_facts(plan, caps),
        max_tokens=plan.chat.max_tokens,
        max_streams=plan.llm.sequences_in_flight,  # so that priority tells who is next
        max_waiting=64,  # for their turn; more are refused
        temperature=plan.chat.temperature,
    )


def _triage(plan: Plan, caps: KvCaps) -> dict[str, str]:
    triage = plan.triage
    return _texts(
        **_llm_facts(plan, caps),
        categories=",".join(triage.categories),
        priorities=",".join(triage.priorities),
        instructions=triage.instructions,
        mails_per_call=triage.mails_per_call,
        max_tokens_per_mail=triage.max_tokens_per_mail,
        max_calls_in_flight=triage.max_calls_in_flight,
        max_streams=4,  # requests at a time; more are refused
        max_speech_wait_s=triage.max_speech_wait_s,
        confidence_threshold=triage.confidence_threshold,
        drafts=triage.drafts,
        temperature=0.0,
    )


def _minutes(plan: Plan, caps: KvCaps) -> dict[str, str]:
    # Of AUDIO one recording at a time, in pieces as `transcribe_stream` has them: the recordings
    # there do not see it, and wait behind its pieces alone.
    speech = {**_transcribe_stream(plan), "max_streams": "1"}
    for key in ("speech_models", pipeline.ON_DEMAND):  # who asks for it asks `transcribe_stream`
        speech.pop(key, None)
    return {f"speech_{name}": value for name, value in speech.items()} | _texts(
        **_llm_facts(plan, caps),
        takes_audio=plan.serving.topology == "one_process",  # else speech is in another server
        part_tokens=2048,  # of transcript in a call: some ten minutes; longer ones are read worse
        overlap_tokens=160,
        max_tokens=1024,  # of the answer to a part
        max_calls_in_flight=plan.triage.max_calls_in_flight,  # background work as well
        max_streams=4,  # requests at a time; more are refused
        max_speech_wait_s=plan.triage.max_speech_wait_s,
        temperature=0.0,
    )


def _llm_facts(plan: Plan, caps: KvCaps) -> dict[str, Any]:
    """Parameters that tell a model about the LLM that it calls."""
    engine = _engine(plan, "llm")
    return {
        "llm_model": "llm",
        "tokenizer_dir": f"{engine}/tokenizer",
        # Prompt and output; what a caller may count on.
        "max_seq_len": caps["llm"][kv_cache.WINDOW],
        "engine_dir": engine,
        "engine_backend": plan.llm.engine if plan.card is None else TENSORRT_LLM,
        "engine_precision": "float32" if plan.card is None else f"{plan.llm.quantisation}, float16",
    }


def _capped(caps: Mapping[str, int | float]) -> dict[str, int | float]:
    return {CAP_PARAMETERS[name]: value for name, value in caps.items()}


def _engine(plan: Plan, name: str) -> str:
    return f"engines/{plan.name}/{name}"


def _texts(**values: Any) -> dict[str, str]:
    return {key: _text(value) for key, value in values.items()}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _verify_free(model: str, keys: Iterable[str]) -> None:
    """Raises PlanError for a key of `[models.<model>]`, or of its parameters, that is not free."""
    fixed = _FIXED.get(pipeline.engine_kind(model) or model, {})
    for key in keys:
        if key in fixed:
            raise PlanError(
                f"models.{model} sets `{key}`, which the ledger and the engine count on: "
                f"{fixed[key]}"
            )


def _overridden(model: ModelPlan, override: dict[str, Any]) -> ModelPlan:
    """`model` with what the plan's `[models.<name>]` says instead."""
    where = f"models.{model.name}"
    if not isinstance(override, dict):
        raise PlanError(f"`{where}` is `{override!r}`, must be a section: [{where}]")
    given = dict(override)
    parameters = given.pop("parameters", {})
    if not isinstance(parameters, dict):
        raise PlanError(
            f"{where}.parameters is `{parameters!r}`, must be a section: [{where}.parameters]"
        )
    for key, value in given.items():
        names = [one.name for one in dataclasses.fields(ModelPlan)]
        verify_known(where, key, [name for name in names if name not in ("name", "parameters")])
        if isinstance(value, bool) or not isinstance(value, int):
            raise PlanError(f"{where}.{key} is `{value!r}`, must be a whole number")
        least = 1 if key in ("instances", "max_batch_size") else 0
        values.within(f"{where}.{key}", value, least, 2**31 - 1)
    for key in parameters:
        verify_known(f"{where}.parameters", key, sorted(model.parameters))
    _verify_free(model.name, [*given, *parameters])
    merged = {**model.parameters, **_texts(**parameters)}
    return dataclasses.replace(model, **given, parameters=merged)
