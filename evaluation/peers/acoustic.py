"""A wav2vec2 network to align with, the same for both sides: no package carries a trained one.

It has the architecture of facebook/wav2vec2-base-960h (12 layers of 768, group norm, 32 characters;
Baevski et al. 2020, arXiv:2006.11477), so that its cost is that of the trained one, and random
weights. Only its head, a linear layer, is fitted, to what pocketsphinx finds in the bundled English
recordings: it knows those by heart and no other speech. Without that all characters would be about
as likely everywhere, and rounding would decide where words begin.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from build_scripts.fetch import directory
from build_scripts.fetch.directory import Recipe

LANGUAGE = "en"
SEED = 0
# The characters of wav2vec2-base-960h in its order.
LABELS = ("<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ")
BLANK, SPACE = LABELS.index("<pad>"), LABELS.index("|")
CODES = {label.lower(): code for code, label in enumerate(LABELS)}
MAX_GROUP_S = 28.0  # clips are heard together, as they will be in chunks of at most 30 s
L2, MAX_STEPS = 1e-6, 200
RECIPE = Recipe(
    name=LANGUAGE,
    model="wav2vec2-base architecture, random weights, head fitted to the bundled recordings",
    backend="torch",
    precision="float32",
    licence="none",
)


def build(into: Path) -> bool:
    """Make `into`/en, in Hugging Face's layout with a manifest; False when it was there.

    Raises InstallError without the recordings of `make samples`.
    """
    return directory.build(into / LANGUAGE, RECIPE, fill)


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
        vocab_size=len(LABELS), feat_extract_norm="group", pad_token_id=BLANK, bos_token_id=1,
        eos_token_id=2,
    )  # fmt: skip
    network = Wav2Vec2ForCTC(config).eval()
    _fit(network)
    network.save_pretrained(into, safe_serialization=True)
    vocabulary = {label: code for code, label in enumerate(LABELS)}
    (into / "vocab.json").write_text(json.dumps(vocabulary) + "\n", encoding="utf-8")
    tokenizer = Wav2Vec2CTCTokenizer(str(into / "vocab.json"))
    Wav2Vec2Processor(Wav2Vec2FeatureExtractor(), tokenizer).save_pretrained(into)


def _fit(network: Any) -> None:
    """Make the head say each character where it begins, and the blank elsewhere."""
    import torch

    from onecard.audio import to_float

    features, labels = [], []
    for pcm, chars in _groups():
        with torch.inference_mode():
            hidden = network.wav2vec2(torch.from_numpy(to_float(pcm))[None]).last_hidden_state[0]
        features.append(hidden.clone())
        labels.append(torch.from_numpy(_frames(chars, len(hidden), len(pcm))))
    inputs, wanted = torch.cat(features), torch.cat(labels)
    head = network.lm_head
    optimizer: Any = torch.optim.LBFGS(
        head.parameters(), max_iter=MAX_STEPS, line_search_fn="strong_wolfe"
    )

    def loss() -> Any:
        optimizer.zero_grad()
        found: Any = torch.nn.functional.cross_entropy(head(inputs), wanted)
        found = found + L2 * head.weight.square().sum()
        found.backward()
        return found

    optimizer.step(loss)


Char = tuple[int, int]  # the sample where it begins, and its code


def _groups() -> Iterator[tuple[npt.NDArray[np.int16], list[Char]]]:
    """Clips one after the other, and the characters in them."""
    from evaluation import bundled, recordings

    clips = [recordings.jfk(), *(recordings.dictation(name) for name in bundled.DICTATIONS)]
    clips += bundled.announcements(bundled.ANNOUNCEMENTS)
    silence = np.zeros(round(recordings.GAP_S * recordings.RATE), np.int16)
    parts: list[npt.NDArray[np.int16]] = []
    chars: list[Char] = []
    length = 0
    for pcm, found in ((clip.samples, _characters(clip)) for clip in clips):
        if parts and length + len(pcm) > MAX_GROUP_S * recordings.RATE:
            yield np.concatenate(parts), chars
            parts, chars, length = [], [], 0
        chars += [(length + at, code) for at, code in found]
        parts += [pcm, silence]
        length += len(pcm) + len(silence)
    yield np.concatenate(parts), chars


def _characters(clip: Any) -> list[Char]:
    """Where the characters of a clip begin, spread over their words; none where it fails."""
    from onecard.alignment.sphinx import Sphinx
    from onecard.alignment.text import split_words
    from onecard.alignment.units import Alignment, Utterance
    from onecard.audio import SAMPLE_RATE

    words = split_words(clip.text, LANGUAGE)
    pcm = clip.samples
    whole = Utterance(pcm, 0.0, len(pcm) / SAMPLE_RATE, clip.text, LANGUAGE, words)
    (found,) = Sphinx().align([whole])
    if not isinstance(found, Alignment):
        return []
    chars: list[Char] = []
    for word, timed in zip(words, found.words, strict=True):
        codes = [CODES[char] for char in word.text.lower() if char in CODES]
        if timed is not None and codes:
            starts = np.linspace(timed.start_s, timed.end_s, len(codes) + 1) * SAMPLE_RATE
            chars += zip(starts.astype(int).tolist(), [*codes, SPACE], strict=True)
    return chars


def _frames(chars: Sequence[Char], num_frames: int, num_samples: int) -> npt.NDArray[np.int64]:
    """[num_frames] codes; where two characters fall on one frame, the later goes to the next."""
    labels = np.full(num_frames, BLANK, np.int64)
    last = -1
    for at, code in chars:
        frame = max(last + 1, at * num_frames // num_samples)
        if frame < num_frames:
            labels[frame] = code
            last = frame
    return labels
