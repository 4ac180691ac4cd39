"""A decoder-only model on OpenVINO's runtime, with a paged KV cache.

OpenVINO's own PagedAttention transformation makes the graph take many sequences at once, each with
the blocks that are its own (docs.openvino.ai, PagedAttention operation).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as opset
from openvino._offline_transformations import paged_attention_transformation

from tensorrtllm_cpu.contract.request import Array
from tensorrtllm_cpu.contract.settings import Settings, SettingsError
from tensorrtllm_cpu.llm.model import Facts, Slice

ROWS = "sampled_rows"  # ours: which tokens of a step the logits are wanted of
INPUTS = frozenset(
    {
        "block_indices",
        "block_indices_begins",
        "input_ids",
        "max_context_len",
        "past_lens",
        "position_ids",
        "subsequence_begins",
        ROWS,
    }
)
# OpenVINO's CPU attention has two loops, chosen by the step as a whole: with fewer sequences than
# threads, of one token each, it splits the cache of a sequence over threads and adds in another
# order (openvino src/plugins/intel_cpu, nodes/kernels/scaled_attn/executor_pa.cpp). What a request
# generates would then depend on who else runs. A companion of two tokens keeps to the other loop,
# in which sequences do not notice each other: bit for bit, whatever the batch and the chunks.
COMPANION = Slice(slot=-1, tokens=(0, 0), past=0)
PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}


class PagedModel:
    """`DecoderModel` of an OpenVINO IR."""

    def __init__(self, settings: Settings, model: str) -> None:
        """Compile the graph and set its cache up.

        Raises:
            SettingsError: the precision is none of PRECISIONS, or the graph is of an unknown form.
        """
        facts = Facts.read(settings.model_path)
        self.vocab_size = facts.vocab_size
        self.max_positions = facts.max_position_embeddings
        if settings.compute_type not in PRECISIONS:
            raise SettingsError(
                f"`cpu_compute_type` is `{settings.compute_type}`, a decoder-only model takes "
                f"{', '.join(PRECISIONS)}; change the plan"
            )
        self._num_threads = settings.num_threads
        compiled = _compile(settings)
        self._request = compiled.create_infer_request()
        self._set_up_cache(compiled, settings)
        self._slots: dict[int, list[int]] = {}
        self.description = (
            f"OpenVINO {openvino.__version__.partition('-')[0]}, {model} from "
            f"{settings.model_path}, {settings.compute_type}, {settings.num_threads} thread(s), "
            f"KV cache {self._num_blocks} x {self.tokens_per_block} tokens of "
            f"{self.kv_bytes_per_token} bytes"
        )

    def forward(self, slices: Sequence[Slice]) -> Array:
        """As `DecoderModel.forward`; the array is valid until the next call."""
        num_wanted = len(slices)
        if num_wanted < self._num_threads and all(len(one.tokens) == 1 for one in slices):
            slices = [*slices, COMPANION]
        blocks = [self._blocks(one) for one in slices]
        ends = list(itertools.accumulate(len(one.tokens) for one in slices))
        block_ends = list(itertools.accumulate(map(len, blocks)))
        positions = [np.arange(one.past, one.past + len(one.tokens)) for one in slices]
        longest = max(one.past + len(one.tokens) for one in slices)
        inputs: dict[str, tuple[Any, Any]] = {
            "input_ids": (list(itertools.chain(*(one.tokens for one in slices))), np.int64),
            "position_ids": (np.concatenate(positions), np.int64),
            "past_lens": ([one.past for one in slices], np.int32),
            "subsequence_begins": ([0, *ends], np.int32),
            "block_indices": (list(itertools.chain(*blocks)), np.int32),
            "block_indices_begins": ([0, *block_ends], np.int32),
            "max_context_len": (longest, np.int32),
            ROWS: ([end - 1 for end in ends], np.int64),
        }
        for name, (value, dtype) in inputs.items():
            self._request.set_tensor(name, openvino.Tensor(np.asarray(value, dtype)))
        self._request.infer()
        logits: Array = self._request.get_output_tensor().data
        return logits.reshape(len(slices), -1)[:num_wanted, : self.vocab_size]

    def release(self, slot: int) -> None:
        self._free.extend(self._slots.pop(slot, ()))

    def _blocks(self, slice_: Slice) -> list[int]:
        """The sequence's blocks, as many as it needs after this step."""
        held = self._slots.setdefault(slice_.slot, [])
        wanted = -(-(slice_.past + len(slice_.tokens)) // self.tokens_per_block)
        if wanted - len(held) > len(self._free):
            raise RuntimeError(f"the KV cache has {len(self._free)} free blocks, wanted {wanted}")
        while len(held) < wanted:
            held.append(self._free.pop())
        return held[:wanted]

    def _set_up_cache(self, compiled: openvino.CompiledModel, settings: Settings) -> None:
        """Blocks for `settings.kv_capacity` tokens; their shape and type are the plugin's."""
        caches = [port for port in compiled.inputs if "_cache." in port.get_any_name()]
        unknown = {port.get_any_name() for port in compiled.inputs} - INPUTS
        unknown -= {port.get_any_name() for port in caches}
        if unknown or not caches:
            raise SettingsError(
                f"the graph in `{settings.model_path}` has the inputs {sorted(unknown)} and "
                f"{len(caches)} caches, must have a paged KV cache and nothing unknown; this "
                "release of openvino is not the one that onecard pins: `make setup`"
            )
        dims = [[dim.get_length() for dim in list(port.partial_shape)[1:]] for port in caches]
        self.tokens_per_block: int = dims[0][1]  # [blocks, KV heads, tokens of a block, head size]
        self._num_blocks = -(-settings.kv_capacity // self.tokens_per_block)
        num_allocated = self._num_blocks + 1  # one for the companion
        num_bytes = 0
        for port, shape in zip(caches, dims, strict=True):
            tensor = openvino.Tensor(port.element_type, openvino.Shape([num_allocated, *shape]))
            num_bytes += tensor.byte_size
            self._request.set_tensor(port.get_any_name(), tensor)
        self.kv_bytes_per_token = num_bytes // (num_allocated * self.tokens_per_block)
        self._free = list(range(num_allocated))


def _compile(settings: Settings) -> openvino.CompiledModel:
    core = openvino.Core()
    graph = core.read_model(settings.model_path / "openvino_model.xml")
    paged_attention_transformation(graph)
    _gather_before_head(graph)
    properties = {
        "INFERENCE_NUM_THREADS": settings.num_threads,
        "INFERENCE_PRECISION_HINT": PRECISIONS[settings.compute_type],
        "KV_CACHE_PRECISION": "f16",
        "PERFORMANCE_HINT": "LATENCY",
        # Other models of the server run on the same cores.
        "ENABLE_CPU_PINNING": False,
    }
    return core.compile_model(graph, "CPU", properties)


def _gather_before_head(graph: openvino.Model) -> None:
    """Let the head see only the tokens whose logits are wanted: one of each slice, not all of a
    prompt's. For a small model with a large vocabulary that is a fifth of the work."""
    head = graph.get_results()[0].input_value(0).get_node()
    while head.get_type_name() != "MatMul":
        head = head.input_value(0).get_node()
    rows = opset.parameter([-1], np.int64, name=ROWS)
    rows.output(0).get_tensor().set_names({ROWS})
    gathered = opset.gather(head.input_value(0), rows, opset.constant(0, np.int64))
    head.input(0).replace_source_output(gathered.output(0))
    graph.add_parameters([rows])
    graph.validate_nodes_and_infer_types()
