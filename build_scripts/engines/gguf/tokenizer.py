"""A GGUF file's vocabulary as Hugging Face lays a tokenizer out, and as guided decoding reads it.

Runs in the environment's interpreter.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
)

from build_scripts.engines.gguf.file import Checkpoint
from build_scripts.errors import CheckpointError

_CONTROL, _USER_DEFINED = 3, 4  # values of `tokenizer.ggml.token_type`
# Control tokens that end a reply in one template or another, beside those that the file names.
END_TOKENS = (
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "</s>",
)

_ENGLISH = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_REST = rf" ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}"
_UPPER, _LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
_CASED = (
    rf"[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]*[{_LOWER}]+|[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]+[{_LOWER}]*"
)


@dataclass(frozen=True)
class Splitting:
    """How text is cut before merging: by `pattern`, or as GPT-2 does where it is empty.

    `ignore_merges`: a piece that is in the vocabulary as a whole is taken whole.
    """

    pattern: str = ""
    by_digit: bool = False
    is_composed: bool = False  # Unicode's normal form C first
    ignore_merges: bool = False


# By `tokenizer.ggml.pre`, as the models' own tokenizer.json files have it.
SPLITTINGS = {
    "gpt-2": Splitting(),
    "smollm": Splitting(by_digit=True),
    "qwen2": Splitting(rf"{_ENGLISH}|\p{{N}}|{_REST}", is_composed=True),
    "llama-bpe": Splitting(rf"{_ENGLISH}|\p{{N}}{{1,3}}|{_REST}", ignore_merges=True),
    "tekken": Splitting(
        rf"{_CASED}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}", ignore_merges=True
    ),
}


def verify(checkpoint: Checkpoint) -> None:
    """Raises CheckpointError unless a tokenizer and a chat template can be made of the file."""
    found = checkpoint.metadata.get("tokenizer.ggml.pre", "not stated")
    if checkpoint.metadata.get("tokenizer.ggml.model") != "gpt2" or found not in SPLITTINGS:
        raise CheckpointError(
            f"`{checkpoint.path}` has a tokenizer of the kind "
            f"`{checkpoint.metadata.get('tokenizer.ggml.model')}` with the pre-tokenizer `{found}`,"
            f" wanted `gpt2` (byte-level BPE) with one of {', '.join(SPLITTINGS)}: choose another "
            "file"
        )
    if "tokenizer.chat_template" not in checkpoint.metadata:
        raise CheckpointError(
            f"`{checkpoint.path}` has no chat template, wanted `tokenizer.chat_template`: choose "
            "a file of an instruction-tuned model"
        )
    _eos_id(checkpoint)


def write(checkpoint: Checkpoint, into: Path) -> None:
    """Makes tokenizer/ and xgrammar_tokenizer_info.json in `into`."""
    tokenizer = build(checkpoint)
    folder = into / "tokenizer"
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    _save(folder / "tokenizer_config.json", _config(checkpoint))
    _save(folder / "generation_config.json", special_ids(checkpoint))
    # The keys that NVIDIA's examples/generate_xgrammar_tokenizer_info.py writes.
    facts = {
        "encoded_vocab": checkpoint.metadata["tokenizer.ggml.tokens"],
        "tokenizer_str": tokenizer.to_str(),
        "stop_token_ids": [_eos_id(checkpoint)],
    }
    _save(into / "xgrammar_tokenizer_info.json", facts, indent=None)


def build(checkpoint: Checkpoint) -> Tokenizer:
    """The tokenizer that a verified file describes."""
    splitting = SPLITTINGS[checkpoint.metadata["tokenizer.ggml.pre"]]
    tokens: list[str] = checkpoint.metadata["tokenizer.ggml.tokens"]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={token: number for number, token in enumerate(tokens)},
            merges=[
                tuple(merge.split(" ", 1)) for merge in checkpoint.metadata["tokenizer.ggml.merges"]
            ],
            ignore_merges=splitting.ignore_merges,
        )
    )
    if splitting.is_composed:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = _pre_tokenizer(splitting)
    tokenizer.decoder = decoders.ByteLevel()
    kinds = checkpoint.metadata["tokenizer.ggml.token_type"]
    tokenizer.add_tokens(
        [
            AddedToken(token, special=kind == _CONTROL, normalized=False)
            for token, kind in zip(tokens, kinds, strict=True)
            if kind in (_CONTROL, _USER_DEFINED)
        ]
    )
    return tokenizer


def special_ids(checkpoint: Checkpoint) -> dict[str, Any]:
    """`bos_token_id`, `pad_token_id` and `eos_token_id`: every id that ends a reply, first the
    one that the file calls the end; a number where there is one."""
    tokens = checkpoint.metadata["tokenizer.ggml.tokens"]
    kinds = checkpoint.metadata["tokenizer.ggml.token_type"]
    ends = [_eos_id(checkpoint)]
    for name in ("eot", "eom"):
        ends.append(checkpoint.metadata.get(f"tokenizer.ggml.{name}_token_id", ends[0]))
    ends += [
        number
        for number, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
        if kind == _CONTROL and token in END_TOKENS
    ]
    ends = list(dict.fromkeys(ends))
    found = {
        "bos_token_id": checkpoint.metadata.get("tokenizer.ggml.bos_token_id"),
        "eos_token_id": ends if len(ends) > 1 else ends[0],
        "pad_token_id": checkpoint.metadata.get("tokenizer.ggml.padding_token_id", ends[0]),
    }
    return {key: value for key, value in found.items() if value is not None}


def _pre_tokenizer(splitting: Splitting) -> pre_tokenizers.PreTokenizer:
    if not splitting.pattern:
        steps = [pre_tokenizers.ByteLevel(add_prefix_space=False)]
    else:
        steps = [
            pre_tokenizers.Split(Regex(splitting.pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    if splitting.by_digit:
        steps.insert(0, pre_tokenizers.Digits(individual_digits=True))
    return pre_tokenizers.Sequence(steps)


def _config(checkpoint: Checkpoint) -> dict[str, Any]:
    tokens = checkpoint.metadata["tokenizer.ggml.tokens"]
    ids = {**special_ids(checkpoint), "eos_token_id": _eos_id(checkpoint)}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **{key.removesuffix("_id"): tokens[number] for key, number in ids.items()},
        "clean_up_tokenization_spaces": False,
        "model_max_length": checkpoint.of_architecture("context_length"),
        "chat_template": checkpoint.metadata["tokenizer.chat_template"],
    }


def _eos_id(checkpoint: Checkpoint) -> int:
    found = checkpoint.metadata.get("tokenizer.ggml.eos_token_id")
    if not isinstance(found, int):
        raise CheckpointError(
            f"`{checkpoint.path}` has `{found}` for `tokenizer.ggml.eos_token_id`, wanted a "
            "number: choose another file"
        )
    return found


def _save(path: Path, document: dict[str, Any], indent: int | None = 2) -> None:
    text = json.dumps(document, ensure_ascii=False, indent=indent) + "\n"
    path.write_text(text, encoding="utf-8")
