"""Rewrites a GGUF file in the types of weights that OpenVINO reads without loss and runs fast.

Runs in the environment's interpreter. `gguf` takes as long to import as all else together, and
most verbs read no file: it is imported where one is read.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from gguf import GGMLQuantizationType as Kind
    from gguf.gguf_reader import ReaderTensor

# openvino.genai makes of a block's minimum a whole number of its scales, by rounding it
# (src/cpp/src/gguf_utils/building_blocks.cpp). It is a whole number in these types; in Q4_1 and
# Q4_K it is not, and a small model then foresees another token at one place in three. In Q6_K it
# is, but OpenVINO multiplies its blocks of 16 at half the speed of blocks of 32.
KEPT = ("F16", "Q8_0", "Q4_0")
REPLACEMENT = "Q8_0"
UNBLOCKED = "F16"  # where a row is no whole number of the replacement's blocks
BLOCK = 32  # weights of the replacement's, gguf.GGML_QUANT_SIZES
FILE_TYPE = "general.file_type"
# The writer has a key for the first from its constructor, and its own value of the second.
_NOT_COPIED = ("general.architecture", "general.alignment", FILE_TYPE)
_CHUNK = 1 << 22  # weights that are float32 at a time
_SAY_EVERY_S = 10.0


def target(kind: str, width: int) -> str:
    """What a matrix of the type `kind`, with rows of `width` weights, is in the engine."""
    if kind in KEPT:
        return kind
    return UNBLOCKED if width % BLOCK else REPLACEMENT


def is_readable(kind: str) -> bool:
    """Whether weights of the type `kind` can be rewritten."""
    from gguf import GGML_QUANT_SIZES
    from gguf import GGMLQuantizationType as Kind
    from gguf.quants import dequantize

    num_bytes = GGML_QUANT_SIZES[Kind[kind]][1]
    try:
        dequantize(np.zeros((1, num_bytes), np.uint8), Kind[kind])
    except NotImplementedError:
        return False
    return True


def rewrite(source: Path, into: Path, say: Callable[[str], None]) -> None:
    """Write the model in `source` to `into`, every matrix in its `target`; one is in memory."""
    from gguf import GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType
    from gguf.quants import quant_shape_to_byte_shape

    reader = GGUFReader(source)
    writer = GGUFWriter(into, reader.fields["general.architecture"].contents())
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0)
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in _NOT_COPIED:
            continue
        is_array = field.types[0] == GGUFValueType.ARRAY
        if is_array and not field.data:
            continue  # the writer refuses empty ones
        sub_type = field.types[-1] if is_array else None
        writer.add_key_value(name, field.contents(), field.types[0], sub_type)
    kinds = {tensor.name: _target(tensor) for tensor in reader.tensors}
    for tensor in reader.tensors:
        shape = tuple(int(size) for size in reversed(tensor.shape))
        num_bytes = math.prod(quant_shape_to_byte_shape(shape, kinds[tensor.name]))
        writer.add_tensor_info(
            tensor.name, shape, np.dtype(np.float32), num_bytes, kinds[tensor.name]
        )
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        said = time.monotonic()
        for number, tensor in enumerate(reader.tensors):
            if time.monotonic() - said > _SAY_EVERY_S:
                said = time.monotonic()
                say(f"llm: rewriting weights, {number} of {len(reader.tensors)} tensors")
            writer.write_tensor_data(_rewritten(tensor, kinds[tensor.name]))
    finally:
        writer.close()


def _target(tensor: ReaderTensor) -> Kind:
    from gguf import GGMLQuantizationType as Kind

    # A vector is a norm or a bias, which the reader takes as it is.
    if len(tensor.shape) == 1:
        return tensor.tensor_type
    return Kind[target(tensor.tensor_type.name, int(tensor.shape[0]))]


def _rewritten(tensor: ReaderTensor, kind: Kind) -> np.ndarray[Any, Any]:
    if kind == tensor.tensor_type:
        return tensor.data
    from gguf.quants import dequantize, quantize

    rows = tensor.data.reshape(-1, tensor.data.shape[-1])
    num_parts = min(len(rows), math.ceil(tensor.n_elements / _CHUNK))
    parts = np.array_split(rows, num_parts)
    return np.concatenate([quantize(dequantize(part, tensor.tensor_type), kind) for part in parts])
