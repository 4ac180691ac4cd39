"""A wav2vec2 network to align with, the same for both sides: no package carries a trained one.

It has the architecture of facebook/wav2vec2-base-960h (12 layers of 768, group norm, 32 characters;
Baevski et al. 2020, arXiv:2006.11477) and random weights: its cost is that of the trained one, and
the times that it gives mean nothing beyond that two programs should find the same ones.
"""

from __future__ import annotations

import json
from pathlib import Path

from build_scripts import directories
from build_scripts.directories import Recipe

LANGUAGE = "en"
SEED = 0
# The characters of wav2vec2-base-960h in its order; `|` stands for a space.
LABELS = ("<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ")
# A trained head tells characters apart; a fresh one (0.02) says nearly the same of all of them, so
# that rounding would decide where words begin.
HEAD_STD = 0.2
RECIPE = Recipe(
    name=LANGUAGE,
    model=f"wav2vec2-base architecture, random weights (seed {SEED}, head {HEAD_STD})",
    backend="torch",
    precision="float32",
    licence="none",
)


def build(into: Path) -> bool:
    """Make `into`/en, in Hugging Face's layout with a manifest; False when it was there."""
    return directories.build(into / LANGUAGE, RECIPE, fill)


def is_there(into: Path) -> bool:
    """Whether `build` came to its end; the files are not looked into."""
    return (into / LANGUAGE / "manifest.json").is_file()


def fill(into: Path) -> None:
    """Write the network, its vocabulary, and what Wav2Vec2Processor reads."""
    import torch  # takes seconds, so only where it is used
    from transformers import (
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
        Wav2Vec2Processor,
    )

    torch.manual_seed(SEED)
    config = Wav2Vec2Config(  # otherwise as its defaults, which are those of base-960h
        vocab_size=len(LABELS), feat_extract_norm="group", pad_token_id=0, bos_token_id=1,
        eos_token_id=2,
    )  # fmt: skip
    network = Wav2Vec2ForCTC(config)
    torch.nn.init.normal_(network.lm_head.weight, std=HEAD_STD)
    network.save_pretrained(into, safe_serialization=True)
    vocabulary = {label: code for code, label in enumerate(LABELS)}
    (into / "vocab.json").write_text(json.dumps(vocabulary) + "\n", encoding="utf-8")
    tokenizer = Wav2Vec2CTCTokenizer(str(into / "vocab.json"))
    Wav2Vec2Processor(Wav2Vec2FeatureExtractor(), tokenizer).save_pretrained(into)
