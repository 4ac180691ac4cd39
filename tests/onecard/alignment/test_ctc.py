"""CTC alignment against WhisperX's own: paths, characters, words, sentences; batches against alone.

WhisperX runs as it is, but for its sentence splitter, whose data (nltk's punkt) has to be
downloaded: it gets the boundaries of ours. The network is small and random, on real speech: what is
compared is the algorithm.
"""

from __future__ import annotations

import json
import shutil
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

from build_scripts.engines.checkpoints import safetensors
from onecard import alignment, manifest
from onecard.alignment import sentences, text, trellis
from onecard.alignment.acoustic import Acoustic
from onecard.alignment.ctc import Ctc
from onecard.alignment.proportional import Proportional
from onecard.alignment.units import Alignment, Span, Utterance
from onecard.options.transcribe import TranscribeOptions
from tests.onecard.alignment import recorded

whisperx = pytest.importorskip("whisperx.alignment")

LATIN = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"]
KANA = ["[PAD]", "[UNK]", *"マピルナのぎキャンプ外れ伝に電球が止まっていた"]


def make_model(directory, labels, norm: str, seed: int = 0):
    """A tiny wav2vec2 of random weights as setup leaves one on disk."""
    torch.manual_seed(seed)
    config = Wav2Vec2Config(
        vocab_size=len(labels), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, conv_dim=(32,) * 7, num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2, feat_extract_norm=norm,
        do_stable_layer_norm=norm == "layer", pad_token_id=0,
    )  # fmt: skip
    network = Wav2Vec2ForCTC(config)
    # A trained head tells characters apart; a fresh one hardly does.
    torch.nn.init.normal_(network.lm_head.weight, std=1.0)
    network.save_pretrained(directory, safe_serialization=True)
    labels = list(dict.fromkeys(labels))
    (directory / "vocab.json").write_text(json.dumps({c: i for i, c in enumerate(labels)}))
    manifest.write(
        directory,
        manifest.scan(
            directory, name=directory.name, model="tiny", backend="torch", precision="float32",
            licence="none",
        ),
    )  # fmt: skip
    return network


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    directory = tmp_path_factory.mktemp("align")
    for language, labels, norm in (("en", LATIN, "layer"), ("es", LATIN, "group"),
                                   ("ja", list(dict.fromkeys(KANA)), "layer")):  # fmt: skip
        (directory / language).mkdir()
        make_model(directory / language, labels, norm)
    return directory


def make_ctc(directory, batch_size: int = 8, max_loaded: int = 3) -> Ctc:
    return Ctc(
        str(directory), preload=(), max_loaded=max_loaded, batch_size=batch_size, device="cpu",
        dtype="float32", num_threads=1,
    )  # fmt: skip


def on_torch(acoustic, directory, monkeypatch) -> None:
    """Has its network run by torch, in padded batches, as on a GPU."""
    network = Wav2Vec2ForCTC.from_pretrained(directory).eval()
    monkeypatch.setattr(acoustic, "_compiled", None)
    monkeypatch.setattr(acoustic, "_network", network, raising=False)


@pytest.fixture(scope="module")
def ctc(models):
    return make_ctc(models)


@settings(max_examples=60, deadline=None)
@given(
    num_frames=st.integers(1, 60),
    num_tokens=st.integers(1, 24),
    sharpness=st.sampled_from([0.0, 1.0, 5.0]),
    seed=st.integers(0, 10_000),
)
def test_paths_are_whisperx_s(num_frames, num_tokens, sharpness, seed):
    random = np.random.default_rng(seed)
    logits = torch.from_numpy(random.normal(size=(num_frames, 9)).astype(np.float32) * sharpness)
    emission = torch.log_softmax(logits, dim=-1)
    tokens = random.integers(1, 9, num_tokens).tolist()
    ours = trellis.best_path(emission.numpy(), np.array(tokens, np.int64), 0)

    theirs = whisperx.backtrack(whisperx.get_trellis(emission, tokens, 0), emission, tokens, 0)
    if theirs is None:
        assert ours is None
        return
    merged = whisperx.merge_repeats(theirs, "x" * num_tokens)
    assert ours is not None
    assert ours.first.tolist() == [one.start for one in merged]
    assert ours.last.tolist() == [one.end for one in merged]
    np.testing.assert_allclose(ours.scores, [one.score for one in merged], rtol=1e-5)


def test_a_text_longer_than_its_frames_has_no_path():
    emission = np.log(np.full((3, 4), 0.25, np.float32))
    assert trellis.best_path(emission, np.array([1, 2, 3, 1, 2], np.int64), 0) is None
    assert trellis.best_path(emission, np.array([], np.int64), 0) is None


class Splitter:
    """Our sentence boundaries in the interface of nltk's punkt."""

    def __init__(self, language: str) -> None:
        self.language = language

    def span_tokenize(self, written: str):
        words = text.split_words(written, self.language)
        for span in text.split_sentences(written, self.language, words):
            yield words[span.start].start, words[span.stop - 1].end


def whisperx_aligned(monkeypatch, models, name: str, written: str):
    language, start_s, end_s, _ = recorded.SEGMENTS[name]
    monkeypatch.setattr(whisperx, "nltk_load", lambda _: Splitter(language))
    network = Wav2Vec2ForCTC.from_pretrained(models / language).eval()
    vocabulary = json.loads((models / language / "vocab.json").read_text())
    metadata = {
        "language": language,
        "dictionary": {char.lower(): code for char, code in vocabulary.items()},
        "type": "huggingface",
    }
    audio = recorded.pcm(name).astype(np.float32) / 32_768
    return whisperx.align(
        [{"start": start_s, "end": end_s, "text": written, "avg_logprob": -0.2}],
        network, metadata, audio, "cpu", return_char_alignments=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("cold_corpus", None),
        ("cold_corpus3", None),
        ("cold_corpus3", " All right, 25 of them cost $3.50. Café №5 at 10:30! 東京? Yes, it is."),
        ("13697_11991_000000", None),
        ("common_voice_ja_24511055", None),
        # One sentence: where no space follows, WhisperX puts the first character of the next
        # sentence into both.
        ("common_voice_ja_24511055", "マッピル123、キャンプ ABC の外れ、電球が止まっていた。"),
    ],
)
def test_words_and_characters_are_whisperx_s(monkeypatch, models, ctc, name, written):
    written = recorded.SEGMENTS[name][3] if written is None else written
    theirs = whisperx_aligned(monkeypatch, models, name, written)
    # Trimming silence off the ends of words is ours alone: without it, all is the same.
    monkeypatch.setattr(sentences.loudness, "trim", lambda utterance, times: times)
    utterance = recorded.utterance(name, written)
    (found,) = ctc.align([utterance])
    assert isinstance(found, Alignment)
    ours = sentences.assemble(utterance, found, TranscribeOptions(return_char_alignments=True))

    assert [one["text"] for one in ours] == [one["text"] for one in theirs["segments"]]
    for mine, other in zip(ours, theirs["segments"], strict=True):
        assert (mine["start"], mine["end"]) == pytest.approx((other["start"], other["end"]))
        assert [word["word"] for word in mine["words"]] == [w["word"] for w in other["words"]]
        for key in ("start", "end"):
            assert [word[key] for word in mine["words"]] == [word[key] for word in other["words"]]
        assert [word["score"] for word in mine["words"]] == pytest.approx(
            [word["score"] for word in other["words"]], abs=0.0011
        )
        # WhisperX's sentences end with the space after them.
        chars = other["chars"][: len(mine["chars"])]
        assert [char["char"] for char in mine["chars"]] == [char["char"] for char in chars]
        for key in ("start", "end"):
            assert [c.get(key) for c in mine["chars"]] == [char.get(key) for char in chars]


@pytest.mark.parametrize("language", ["en", "es"])
def test_a_batch_says_what_each_says_alone(models, ctc, language, monkeypatch):
    acoustic = ctc._acoustic(language)
    pcm = recorded.pcm("cold_corpus")
    segments = [pcm[: 16_000 * n] for n in (3, 9, 9, 1)] + [pcm[:100]]
    compiled = acoustic.emissions(segments, batch_size=8)
    on_torch(acoustic, models / language, monkeypatch)
    together = acoustic.emissions(segments, batch_size=8)
    for one, batched in zip(compiled, together, strict=True):
        np.testing.assert_allclose(one, batched, atol=1e-4)
    for segment, batched in zip(segments, together, strict=True):
        (alone,) = acoustic.emissions([segment], batch_size=1)
        np.testing.assert_allclose(batched, alone, atol=1e-4)


def test_padding_invariant_models_share_a_forward(models, ctc, monkeypatch):
    acoustic = ctc._acoustic("en")
    on_torch(acoustic, models / "en", monkeypatch)
    sizes = []
    forward = acoustic._forward
    monkeypatch.setattr(
        acoustic, "_forward", lambda samples: sizes.append(len(samples)) or forward(samples)
    )
    jobs = [
        alignment.Job(recorded.pcm(name), recorded.document(name), TranscribeOptions())
        for name in ("cold_corpus", "cold_corpus3")
    ]
    found = alignment.align(jobs, [ctc, Proportional()])
    assert sizes == [2]
    assert [document["aligners"] for document in found] == [{"ctc": 1}] * 2
    for job, document in zip(jobs, found, strict=True):
        assert alignment.align([job], [ctc, Proportional()]) == [document]


def test_characters_are_given_where_they_are_asked_for(ctc):
    job = alignment.Job(
        recorded.pcm("cold_corpus3"),
        recorded.document("cold_corpus3"),
        TranscribeOptions(return_char_alignments=True),
    )
    (found,) = alignment.align([job], [ctc])
    for segment in found["segments"]:
        assert "".join(char["char"] for char in segment["chars"]) == segment["text"]
    assert found["warnings"] == []


def test_word_ends_do_not_swallow_silence(ctc):
    """Half the clip is digital silence: no word of the speech before it may end inside it."""
    pcm = recorded.pcm("cold_corpus3")[: 16_000 * 6].copy()
    pcm[16_000 * 3 :] = 0
    document = recorded.document("cold_corpus3", text=" So this is", start=0.0, end=6.0)
    (found,) = alignment.align([alignment.Job(pcm, document, TranscribeOptions())], [ctc])
    words = [word for segment in found["segments"] for word in segment["words"]]
    crossing = [word for word in words if word["start"] < 2.9 < word["end"]]
    assert all(word["end"] <= 3.1 for word in crossing)


def test_languages_without_a_model_are_not_spoken(ctc):
    assert ctc.speaks("en")
    assert not ctc.speaks("de")
    assert not ctc.speaks("../en/..")


def test_models_make_room_for_each_other(models):
    ctc = make_ctc(models, max_loaded=1)
    first = ctc._acoustic("en")
    assert ctc._acoustic("en") is first
    ctc._acoustic("ja")
    assert ctc._acoustic("en") is not first


def test_two_languages_of_a_batch_are_never_loaded_together(models, monkeypatch):
    ctc = make_ctc(models, max_loaded=1)
    load, alive = Acoustic.load.__func__, weakref.WeakSet()
    most = 0

    def counted(cls, *arguments):
        nonlocal most
        made = load(cls, *arguments)
        alive.add(made)
        most = max(most, len(alive))
        return made

    monkeypatch.setattr(Acoustic, "load", classmethod(counted))
    pcm = np.zeros(16000, np.int16)
    ctc.align(
        [Utterance(pcm, 0.0, 1.0, "ab", one, (Span("ab", 0, 2),)) for one in ("en", "es", "en")]
    )
    assert most == 1


def test_weights_that_come_as_a_pickle_are_the_same_as_safetensors(models, tmp_path):
    source, safe = tmp_path / "fetched", load_file(models / "en" / "model.safetensors")
    source.mkdir()
    torch.save(safe, source / "pytorch_model.bin")
    safetensors.convert_align(source, tmp_path / "made")
    for name in ("config.json", "vocab.json"):
        shutil.copyfile(models / "en" / name, tmp_path / "made" / name)
    facts = manifest.scan(
        tmp_path / "made", name="en", model="tiny", backend="torch", precision="float32",
        licence="none",
    )  # fmt: skip
    manifest.write(tmp_path / "made", facts)
    pcm = [np.random.default_rng(0).integers(-9000, 9000, 16000).astype(np.int16)]
    found, wanted = (
        Acoustic.load(folder, "cpu", "float32", 1).emissions(pcm, 1)[0]
        for folder in (tmp_path / "made", models / "en")
    )
    np.testing.assert_array_equal(found, wanted)
    # Where a repository has both, nothing is unpickled.
    shutil.copyfile(models / "en" / "model.safetensors", source / "model.safetensors")
    (source / "pytorch_model.bin").write_bytes(b"not a pickle")
    safetensors.convert_align(source, tmp_path / "again")
    assert load_file(tmp_path / "again" / "model.safetensors").keys() == safe.keys()


def test_a_damaged_model_is_refused(models, tmp_path):
    (tmp_path / "en").mkdir()
    for file in (models / "en").iterdir():
        (tmp_path / "en" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "en" / "vocab.json").write_text("{}")
    with pytest.raises(manifest.ManifestError, match=r"vocab\.json"):
        Ctc(
            str(tmp_path), preload=["en"], max_loaded=1, batch_size=1, device="cpu",
            dtype="float32", num_threads=1,
        )  # fmt: skip
