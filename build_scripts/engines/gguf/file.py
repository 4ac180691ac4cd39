"""What a GGUF file states of its model, and whether an engine here can read it.

Runs in the environment's interpreter.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build_scripts.engines.gguf import precision as gguf_precision
from build_scripts.errors import CheckpointError

OPENVINO, LLAMA_CPP = "openvino", "llama.cpp"
ENGINES = (OPENVINO, LLAMA_CPP)
# openvino.genai, src/cpp/src/gguf_utils/gguf_modeling.cpp
OPENVINO_ARCHITECTURES = ("llama", "qwen2", "qwen3")
MAGIC = b"GGUF"
NOT_STATED = "not stated"
_CURE = f'write engine = "{LLAMA_CPP}" in the plan\'s [llm], or choose another file'


@dataclass(frozen=True)
class Checkpoint:
    """One GGUF file.

    `metadata` by key; `matrices`: how many there are of each type and width of a row;
    `vocab_size`: rows of the embedding; `has_rope_factors`: whether there is a tensor that changes
    the rotary embedding.
    """

    path: Path
    metadata: dict[str, Any]
    matrices: Counter[tuple[str, int]]
    vocab_size: int
    has_rope_factors: bool

    @property
    def architecture(self) -> str:
        return str(self.metadata["general.architecture"])

    @property
    def name(self) -> str:
        return str(self.metadata.get("general.name", self.path.stem))

    @property
    def licence(self) -> str:
        """The identifier that the file states; people who convert models often leave it out."""
        return str(self.metadata.get("general.license", NOT_STATED))

    @property
    def scales_rope(self) -> bool:
        """Whether the rotary embedding is stretched to reach beyond the first training."""
        scaling = self.metadata.get(f"{self.architecture}.rope.scaling.type", "none")
        return self.has_rope_factors or scaling != "none"

    @property
    def is_kept(self) -> bool:
        """Whether every matrix is in OpenVINO what it is in the file."""
        return all(gguf_precision.target(kind, width) == kind for kind, width in self.matrices)

    def precision(self, engine: str) -> str:
        """The type of most matrices, and the one that they have in `engine` where it differs."""
        found: Counter[str] = Counter()
        for (kind, width), count in self.matrices.items():
            held = kind if engine == LLAMA_CPP else gguf_precision.target(kind, width)
            found[kind if held == kind else f"{kind} as {held}"] += count
        return found.most_common(1)[0][0]

    def of_architecture(self, key: str, default: int | None = None) -> int:
        """The number under `<architecture>.<key>`. Raises CheckpointError without one."""
        found = self.metadata.get(f"{self.architecture}.{key}", default)
        if not isinstance(found, int):
            raise CheckpointError(
                f"`{self.path}` has `{found}` for `{self.architecture}.{key}`, wanted a number: "
                "choose another file"
            )
        return found

    def config(self) -> dict[str, int]:
        """The model's sizes under Hugging Face's names."""
        num_heads = self.of_architecture("attention.head_count")
        head_dim = self.of_architecture("embedding_length") // num_heads
        return {
            "vocab_size": self.vocab_size,
            "num_hidden_layers": self.of_architecture("block_count"),
            "num_key_value_heads": self.of_architecture("attention.head_count_kv", num_heads),
            "head_dim": self.of_architecture("attention.key_length", head_dim),
            "max_position_embeddings": self.of_architecture("context_length"),
        }


def read(path: Path) -> Checkpoint:
    """Raises CheckpointError where `path` is not a whole GGUF file with a model in it."""
    try:
        with path.open("rb") as file:
            magic = file.read(len(MAGIC))
    except OSError as error:
        raise CheckpointError(
            f"`{path}` cannot be read ({error.strerror}), wanted a GGUF file: "
            "mend `checkpoint` in the plan's [llm]"
        ) from None
    if magic != MAGIC:
        raise CheckpointError(
            f"`{path}` begins with `{magic!r}`, wanted `{MAGIC!r}`: it is not a GGUF file"
        )
    from gguf import GGUFReader  # not by whoever reads none: see `gguf_precision`

    try:
        reader = GGUFReader(path)
        metadata = {key: field.contents() for key, field in reader.fields.items()}
        tensors = {tensor.name: tensor for tensor in reader.tensors}
        matrices = Counter(
            (one.tensor_type.name, int(one.shape[0]))
            for one in tensors.values()
            if len(one.shape) > 1
        )
        vocab_size = int(tensors["token_embd.weight"].shape[-1])
        has_factors = "rope_freqs.weight" in tensors
        checkpoint = Checkpoint(path, metadata, matrices, vocab_size, has_factors)
        checkpoint.config()
    except (ValueError, IndexError, KeyError) as error:
        raise CheckpointError(
            f"`{path}` is damaged, cut short or holds no language model ({error}): fetch it again"
        ) from None
    return checkpoint


def verify(checkpoint: Checkpoint, engine: str) -> None:
    """Raises CheckpointError where `engine` cannot run the file, which says which one can."""
    if checkpoint.metadata.get("split.count", 1) > 1:
        raise CheckpointError(
            f"`{checkpoint.path}` is one of {checkpoint.metadata['split.count']} parts, wanted one "
            "file: join them with llama.cpp's `llama-gguf-split --merge`"
        )
    if engine == LLAMA_CPP:
        return
    if checkpoint.architecture not in OPENVINO_ARCHITECTURES:
        raise CheckpointError(
            f"`{checkpoint.path}` has the architecture `{checkpoint.architecture}`, OpenVINO reads "
            f"{', '.join(OPENVINO_ARCHITECTURES)}: {_CURE}"
        )
    kinds = sorted({kind for kind, _ in checkpoint.matrices})
    unread = [kind for kind in kinds if not gguf_precision.is_readable(kind)]
    if unread:
        raise CheckpointError(
            f"`{checkpoint.path}` has weights of the type `{', '.join(unread)}`, which nothing "
            f"here can turn into a type that OpenVINO reads: {_CURE}"
        )
    if checkpoint.scales_rope:
        raise CheckpointError(
            f"`{checkpoint.path}` has a scaled rotary embedding, which OpenVINO would leave out "
            f"without a word: {_CURE}"
        )
