"""The contract of NVIDIA's `tensorrtllm` backend: tensors, configuration parameters, error texts.

Behind the contract run engines on a GPU, or our drop-in for the CPU (backends/tensorrtllm). Config
generation and the drop-in both read it.

Facts from NVIDIA/TensorRT-LLM: triton_backend/all_models/inflight_batcher_llm/tensorrt_llm/
config.pbtxt, triton_backend/inflight_batcher_llm/src/{model_instance_state,utils}.cc, and
cpp/tensorrt_llm/batch_manager/{llmRequest,trtGptModelInflightBatching}.cpp.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from onecard.contract.tensor import Tensor

BACKEND = "tensorrtllm"  # what the manifests of NVIDIA's engines call it

BOOL, FP16, FP32, INT32, INT64, STRING, UINT8, UINT64 = (
    "TYPE_BOOL",
    "TYPE_FP16",
    "TYPE_FP32",
    "TYPE_INT32",
    "TYPE_INT64",
    "TYPE_STRING",
    "TYPE_UINT8",
    "TYPE_UINT64",
)


def _scalar(name: str, dtype: str, optional: bool = True) -> Tensor:
    """A single value: `[batch, 1]` on the wire, `[batch]` for the backend."""
    return Tensor(name, dtype, (1,), optional=optional, reshape=())


def _vector(name: str, dtype: str, *dims: int, ragged: bool = True) -> Tensor:
    """An optional tensor whose length a request chooses."""
    return Tensor(name, dtype, dims or (-1,), optional=True, ragged=ragged)


# One list for every model of the backend, as in NVIDIA's template: an encoder-decoder model reads
# the `encoder_*` and `decoder_*` tensors, a decoder-only model `input_ids`; the rest is optional.
INPUTS: tuple[Tensor, ...] = (
    _vector("input_ids", INT32),
    _vector("encoder_input_features", FP16, -1, -1),  # [frames, n_mels]
    _scalar("encoder_output_lengths", INT32),
    _scalar("input_lengths", INT32, optional=False),
    _scalar("request_output_len", INT32, optional=False),
    _scalar("num_return_sequences", INT32),
    _vector("draft_input_ids", INT32),
    _vector("decoder_input_ids", INT32),
    _scalar("decoder_input_lengths", INT32),
    _vector("draft_logits", FP32, -1, -1),
    _scalar("draft_acceptance_threshold", FP32),
    _scalar("end_id", INT32),
    _scalar("pad_id", INT32),
    _vector("stop_words_list", INT32, 2, -1),
    _vector("bad_words_list", INT32, 2, -1),
    _vector("embedding_bias", FP32),
    _scalar("beam_width", INT32),
    _scalar("temperature", FP32),
    _scalar("runtime_top_k", INT32),
    _scalar("runtime_top_p", FP32),
    _scalar("runtime_top_p_min", FP32),
    _scalar("runtime_top_p_decay", FP32),
    _scalar("runtime_top_p_reset_ids", INT32),
    _scalar("len_penalty", FP32),
    _scalar("early_stopping", BOOL),
    _scalar("repetition_penalty", FP32),
    _scalar("min_tokens", INT32),
    _scalar("beam_search_diversity_rate", FP32),
    _scalar("presence_penalty", FP32),
    _scalar("frequency_penalty", FP32),
    _scalar("seed", UINT64),
    _scalar("return_log_probs", BOOL),
    _scalar("return_context_logits", BOOL),
    _scalar("return_generation_logits", BOOL),
    _scalar("return_perf_metrics", BOOL),
    _scalar("return_num_input_tokens", BOOL),
    _scalar("return_num_output_tokens", BOOL),
    _scalar("exclude_input_in_output", BOOL),
    _scalar("stop", BOOL),
    _scalar("streaming", BOOL),
    _vector("prompt_embedding_table", FP16, -1, -1),
    _vector("prompt_table_extra_ids", UINT64),
    _scalar("prompt_vocab_size", INT32),
    _vector("cross_attention_mask", BOOL, -1, -1),
    _vector("mrope_rotary_cos_sin", FP32, ragged=False),
    _vector("mrope_position_deltas", INT64, 1, ragged=False),
    _scalar("lora_task_id", UINT64),
    _vector("lora_weights", FP16, -1, -1),
    _vector("lora_config", INT32, -1, 3),
    _vector("context_phase_params", UINT8),
    _vector("skip_cross_attn_blocks", BOOL, 1),
    _vector("retention_token_range_starts", INT32),
    _vector("retention_token_range_ends", INT32),
    _vector("retention_token_range_priorities", INT32),
    _vector("retention_token_range_durations_ms", INT32),
    _vector("retention_decode_priority", INT32, 1),
    _vector("retention_decode_duration_ms", INT32, 1),
    _vector("guided_decoding_guide_type", STRING, 1),
    _vector("guided_decoding_guide", STRING, 1),
    _vector("lookahead_window_size", INT32, 1),
    _vector("lookahead_ngram_size", INT32, 1),
    _vector("lookahead_verification_set_size", INT32, 1),
)

# Of these a request must ask for the first two; the others are sent when asked for and available.
OUTPUTS: tuple[Tensor, ...] = (
    Tensor("output_ids", INT32, (-1, -1)),  # [beams, tokens], short rows filled with PADDING
    Tensor("sequence_length", INT32, (-1,)),  # [beams]
    Tensor("cum_log_probs", FP32, (-1,)),  # [beams]
    Tensor("output_log_probs", FP32, (-1, -1)),  # [beams, tokens]
    Tensor("context_logits", FP32, (-1, -1)),
    Tensor("generation_logits", FP32, (-1, -1, -1)),  # [beams, tokens, vocabulary]
    Tensor("batch_index", INT32, (1,)),
    Tensor("sequence_index", INT32, (1,)),
    Tensor("context_phase_params", UINT8, (-1,)),
    Tensor("kv_cache_alloc_new_blocks", INT32, (1,)),
    Tensor("kv_cache_reused_blocks", INT32, (1,)),
    Tensor("kv_cache_alloc_total_blocks", INT32, (1,)),
    Tensor("arrival_time_ns", INT64, (1,)),
    Tensor("first_scheduled_time_ns", INT64, (1,)),
    Tensor("first_token_time_ns", INT64, (1,)),
    Tensor("last_token_time_ns", INT64, (1,)),
    Tensor("acceptance_rate", FP32, (1,)),
    Tensor("total_accepted_draft_tokens", INT32, (1,)),
    Tensor("total_draft_tokens", INT32, (1,)),
    Tensor("num_input_tokens", INT32, (1,)),
    Tensor("num_output_tokens", INT32, (1,)),
)

# Ours, of which NVIDIA's backend knows nothing: the CPU engine for Whisper gives it in addition.
NO_SPEECH_PROB = Tensor("no_speech_prob", FP32, (1,))  # of <|nospeech|> behind the start token

# The same of inputs: what CTranslate2's search can do and NVIDIA's backend has no tensor for.
PATIENCE = _scalar("patience", FP32)
NO_REPEAT_NGRAM_SIZE = _scalar("no_repeat_ngram_size", INT32)
WHISPER_INPUTS = (PATIENCE, NO_REPEAT_NGRAM_SIZE)

PADDING = -1  # fills the rows of `output_ids` that are shorter than the longest beam's
REQUIRED_OUTPUTS = ("output_ids", "sequence_length")


@dataclass(frozen=True)
class Parameter:
    """One `parameters` key of config.pbtxt. Every value travels as `string_value`; "" is unset.

    `kind`: "int", "float", "bool", "ints" (comma list) or "text"; `choices` bind a text.
    `must_exist`: looked up unguarded, so that a config without the key does not load; "" will do.
    `cpu`: the drop-in acts on it; it accepts the others and names them in its log.
    """

    key: str
    kind: str
    cpu: bool = False
    must_exist: bool = False
    choices: tuple[str, ...] = ()


BATCHING = ("inflight_fused_batching", "inflight_batching")
DECODING_MODES = (
    "top_k",
    "top_p",
    "top_k_top_p",
    "beam_search",
    "medusa",
    "redrafter",
    "lookahead",
    "eagle",
)
SCHEDULER_POLICIES = ("guaranteed_no_evict", "max_utilization")
COMPUTE_TYPES = ("int8", "int16", "float32", "bfloat16")
GUIDE_TYPES = ("json", "json_schema", "regex", "ebnf_grammar")
GUIDE_BACKENDS = ("xgrammar",)
PARAMETERS: tuple[Parameter, ...] = (
    Parameter("gpt_model_type", "text", cpu=True, must_exist=True, choices=BATCHING),
    Parameter("gpt_model_path", "text", cpu=True, must_exist=True),
    Parameter("encoder_model_path", "text", cpu=True),
    Parameter("max_beam_width", "int", cpu=True),
    Parameter("max_tokens_in_paged_kv_cache", "int", cpu=True),
    Parameter("max_attention_window_size", "ints", cpu=True),
    Parameter("sink_token_length", "int"),
    Parameter("batch_scheduler_policy", "text", cpu=True, choices=SCHEDULER_POLICIES),
    Parameter("kv_cache_free_gpu_mem_fraction", "float"),
    Parameter("cross_kv_cache_fraction", "float", cpu=True),
    Parameter("kv_cache_host_memory_bytes", "int"),
    Parameter("kv_cache_onboard_blocks", "bool"),
    Parameter("enable_trt_overlap", "bool"),
    Parameter("exclude_input_in_output", "bool", cpu=True),
    Parameter("cancellation_check_period_ms", "int", cpu=True),
    Parameter("stats_check_period_ms", "int", cpu=True),
    Parameter("iter_stats_max_iterations", "int"),
    Parameter("request_stats_max_iterations", "int"),
    Parameter("recv_poll_period_ms", "int"),
    Parameter("enable_kv_cache_reuse", "bool"),
    Parameter("normalize_log_probs", "bool", cpu=True),
    Parameter("enable_chunked_context", "bool"),
    Parameter("gpu_device_ids", "text"),
    Parameter("participant_ids", "text"),
    Parameter("num_nodes", "int"),
    Parameter("lora_cache_optimal_adapter_size", "int"),
    Parameter("lora_cache_max_adapter_size", "int"),
    Parameter("lora_cache_gpu_memory_fraction", "float"),
    Parameter("lora_cache_host_memory_bytes", "int"),
    Parameter("lora_prefetch_dir", "text"),
    Parameter("decoding_mode", "text", cpu=True, choices=DECODING_MODES),
    Parameter("executor_worker_path", "text"),
    Parameter("lookahead_window_size", "int"),
    Parameter("lookahead_ngram_size", "int"),
    Parameter("lookahead_verification_set_size", "int"),
    Parameter("medusa_choices", "text"),
    Parameter("eagle_choices", "text"),
    Parameter("gpu_weights_percent", "float"),
    Parameter("enable_context_fmha_fp32_acc", "bool"),
    Parameter("multi_block_mode", "bool"),
    Parameter("cuda_graph_mode", "bool"),
    Parameter("cuda_graph_cache_size", "int"),
    Parameter("speculative_decoding_fast_logits", "bool"),
    Parameter("tokenizer_dir", "text", must_exist=True),
    Parameter("guided_decoding_backend", "text", cpu=True, must_exist=True, choices=GUIDE_BACKENDS),
    Parameter("xgrammar_tokenizer_info_path", "text", cpu=True, must_exist=True),
    Parameter("FORCE_CPU_ONLY_INPUT_TENSORS", "text", choices=("yes", "no")),
    # Ours, of which NVIDIA's backend takes no notice.
    Parameter("cpu_model_path", "text", cpu=True),  # read in place of the two engine paths
    Parameter("cpu_compute_type", "text", cpu=True, choices=COMPUTE_TYPES),
    Parameter("cpu_max_queue_size", "int", cpu=True),
    Parameter("cpu_share", "float", cpu=True),
    Parameter("cpu_nice", "int", cpu=True),  # yields the cores to models of a lower value
    Parameter("cpu_max_num_tokens", "int", cpu=True),  # of all sequences in one step
)
BY_KEY = {parameter.key: parameter for parameter in PARAMETERS}
BOOLEANS = {
    **dict.fromkeys(("True", "true", "TRUE", "1"), True),
    **dict.fromkeys(("False", "false", "FALSE", "0"), False),
}

Value = int | float | bool | str | tuple[int, ...]


def parse(key: str, text: str) -> Value | None:
    """The value of parameter `key`; None where `text` is empty or a template nobody filled.

    Stricter than NVIDIA's backend, which takes what it cannot parse as unset and only warns.

    Raises:
        ValueError: the backend has no such parameter, or `text` is not of its kind.
    """
    if key not in BY_KEY:
        raise ValueError(f"parameter `{key}` is not one of the tensorrtllm backend's; remove it")
    parameter = BY_KEY[key]
    if not text or text.startswith("${"):
        return None
    try:
        value = _PARSERS[parameter.kind](text)
    except (KeyError, ValueError):
        raise ValueError(
            f"parameter `{key}` is `{text}`, must be {_KINDS[parameter.kind]}; change the plan"
        ) from None
    if parameter.choices and value not in parameter.choices:
        known = ", ".join(parameter.choices)
        raise ValueError(f"parameter `{key}` is `{text}`, must be one of {known}; change the plan")
    return value


_PARSERS: dict[str, Callable[[str], Value]] = {
    "int": int,
    "float": float,
    "bool": BOOLEANS.__getitem__,
    "ints": lambda text: tuple(int(part) for part in text.split(",")),
    "text": str,
}
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "ints": "whole numbers with commas between them",
}

# Answers to requests. Those that NVIDIA's executor gives carry EXECUTOR_FAILED round them.
NOT_PRESENT = "{} is not present in the request"
NOTHING_TO_ENCODE = "input_ids or encoder_input_features is not present in the request."
WRONG_SIZE = "Invalid size for tensor {}"
BATCH_NEEDS_DECOUPLED = (
    "Batch size > 1 requires the tensorrt_llm backend to be using decoupled transaction policy"
)
STREAMING_NEEDS_DECOUPLED = "Streaming is only supported if model is deployed using decoupled mode."
STOP_NEEDS_ID = "Trying to stop a request but request ID is not provided"
OUTPUT_NEEDED = (
    "Error encountered while populating response: "
    "{} tensor must be present in list of output tensors"
)
EXECUTOR_FAILED = "Executor failed process requestId {} due to the following error: {}"
REFUSED = "Encountered an error when fetching new request: {}"
FAILED = "Encountered an error in forwardAsync function: {}"
END_ID_OUT_OF_RANGE = "EndId ({}) is not within acceptable range [-1, {})."
ENCODER_TOO_LONG = "Encoder length ({}) exceeds maximum encoder input length ({})."
PROMPT_TOO_LONG = (
    "Prompt length ({}) exceeds maximum input length ({}). Set log level to info and check "
    "TRTGptModel logs for how maximum input length is set"
)
BEAM_TOO_WIDE = "Requested beam width {} is larger than configured max beam width {}"
QUEUE_FULL = "Maximum queue size of {} has been reached, please try again later"
GUIDE_MISSING = "The guide string must be provided unless using GuideType::kJSON."
GUIDES_NOT_SET_UP = (
    "Request is specified with GuidedDecodingParams, but GuidedDecoder is not setup. Please "
    "provide a valid GuidedDecodingConfig to setup GuidedDecoder."
)
SPARSE_LIST = "Sparse list must not have {}: {}"
# And answers to a configuration.
PARAMETER_MISSING = "Cannot find parameter with name: {}"
PATHS_EMPTY = "Both encoder and decoder model paths are empty"
CROSS_FRACTION_MISSING = "Must set crossKvCacheFraction for encoder-decoder model"
CROSS_FRACTION_FORBIDDEN = "Do not set crossKvCacheFraction for decoder-only model"
KV_CACHE_TOO_SMALL = (
    "maxTokensInPagedKvCache ({}) must be large enough to process at least 1 sequence to "
    "completion ({} tokens)"
)
