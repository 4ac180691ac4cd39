"""The GE2E network: the published one, masked and batched as pyannote asks for it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from onecard import audio, manifest
from onecard.diarization import embedding

ROOT = Path(__file__).parents[3]
DIRECTORY = ROOT / "engines" / "cpu" / "embedding"
RATE = audio.SAMPLE_RATE


@pytest.fixture(scope="module")
def embed() -> embedding.SpeakerEmbedding:
    torch.set_num_threads(1)
    return embedding.load(DIRECTORY)


@pytest.fixture(scope="module")
def spoken(conversation: Path) -> dict[str, Tensor]:
    """Turns of about 3 s of both speakers, by the reference: (1, num_samples) each."""
    limits = audio.Limits(600.0, 1 << 28)
    samples = torch.from_numpy(audio.to_float(audio.decode(conversation.read_bytes(), limits)[0]))
    spans_s = {
        "diane 1": (10.8, 14.1), "diane 2": (17.9, 21.4),
        "sheila 1": (14.5, 17.7), "sheila 2": (22.0, 25.2), "sheila 3": (25.2, 28.4),
    }  # fmt: skip
    return {
        name: samples[int(start_s * RATE) : int(end_s * RATE)][None]
        for name, (start_s, end_s) in spans_s.items()
    }


def windows(spoken: dict[str, Tensor]) -> Tensor:
    """The first two seconds of each: (5, 1, num_samples)."""
    return torch.stack([samples[:, : 2 * RATE] for samples in spoken.values()])


def test_the_same_speaker_is_nearer_than_another(embed, spoken) -> None:
    vectors = {name: embed(samples[None])[0] for name, samples in spoken.items()}
    similarity = {(a, b): vectors[a] @ vectors[b] for a in vectors for b in vectors if a < b}
    same = min(value for (a, b), value in similarity.items() if a[0] == b[0])
    other = max(value for (a, b), value in similarity.items() if a[0] != b[0])
    assert same > other


def test_vectors_are_unit_and_do_not_depend_on_the_batch(embed, spoken) -> None:
    batch = windows(spoken)
    together = embed(batch)
    assert together.shape == (5, embed.dimension)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    for i in range(len(batch)):
        np.testing.assert_allclose(embed(batch[i : i + 1])[0], together[i], atol=1e-5)


def test_the_compiled_network_answers_as_torchs_own(embed, spoken) -> None:
    """In batches, of which the last is not full."""
    mels = torch.cat([embed._mel(samples)[0] for samples in spoken.values()])
    partials = mels[: 40 * 38 + 160].unfold(0, 160, 38).transpose(1, 2).contiguous()
    assert 2 * embedding.MAX_PARTIALS < len(partials) < 3 * embedding.MAX_PARTIALS
    with torch.inference_mode():
        wanted = embed.encoder(partials).numpy()
    np.testing.assert_allclose(embed._encode(partials), wanted, atol=1e-5)


def test_a_mask_keeps_what_it_keeps(embed, spoken) -> None:
    """Half of a window masked away gives what the other half alone gives."""
    diane, _, sheila, *_ = windows(spoken)
    mask = torch.zeros(1, 293)
    mask[:, 147:] = 1
    found = embed(torch.cat([diane, sheila], dim=1)[None], mask)[0]
    assert found @ embed(sheila[None])[0] > 0.95
    assert found @ embed(diane[None])[0] < 0.85


def test_too_little_speech_gives_no_vector(embed, spoken) -> None:
    batch = windows(spoken)
    masks = torch.zeros(5, 200)  # 10 ms a frame
    masks[1, :30] = 1  # 0.3 s
    masks[2, :60] = 1  # 0.6 s
    masks[3:] = 1
    missing = np.isnan(embed(batch, masks)).all(axis=1)
    assert missing.tolist() == [True, True, False, False, False]


def test_digital_silence_gives_no_wrong_number(embed) -> None:
    found = embed(torch.zeros(1, 1, 5 * RATE))[0]
    assert np.isnan(found).all() or np.linalg.norm(found) == pytest.approx(1.0, abs=1e-5)


def test_loudness_does_not_matter_below_the_target(embed, spoken) -> None:
    quiet = spoken["diane 1"][None] * (0.02 / spoken["diane 1"].square().mean().sqrt())
    np.testing.assert_allclose(embed(quiet), embed(quiet / 10), atol=1e-4)


def test_mel_equals_a_plain_reference(embed, spoken) -> None:
    """Frame by frame in NumPy, with Slaney's filters written out from their definition."""
    samples = spoken["diane 1"][0].numpy().astype(np.float64)
    padded = np.pad(samples, 200)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    frames = np.stack([padded[i : i + 400] for i in range(0, len(samples) + 1, 160)])
    power = np.abs(np.fft.rfft(frames * window)) ** 2
    wanted = power @ slaney_filters()
    found = embed._mel(spoken["diane 1"])[0].numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-6 * wanted.max())


def slaney_filters() -> np.ndarray:
    """(201, 40): linear below 1 kHz, logarithmic above, each of unit area."""
    step, bend = 200 / 3, 15
    ratio = np.log(6.4) / 27
    high_mel = bend + np.log(8000 / 1000) / ratio
    mels = np.linspace(0, high_mel, 42)
    edges = np.where(mels < bend, mels * step, 1000 * np.exp((mels - bend) * ratio))
    bins = np.arange(201) * 40.0
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rise, fall = (bins - low) / (middle - low), (high - bins) / (high - middle)
    return (np.maximum(0, np.minimum(rise, fall)) * 2 / (high - low)).T


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "embedding"
    shutil.copytree(DIRECTORY, directory)
    facts = manifest.read(directory)
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "num_layers": 5}))
    written = manifest.scan(
        directory, name=facts.name, model=facts.model, backend=facts.backend,
        precision=facts.precision, licence=facts.licence,
    )  # fmt: skip
    manifest.write(directory, written)
    with pytest.raises(ValueError, match="num_layers"):
        embedding.load(directory)


def test_corrupt_weights_are_refused(tmp_path: Path) -> None:
    directory = tmp_path / "embedding"
    shutil.copytree(DIRECTORY, directory)
    weights = bytearray((directory / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (directory / "model.safetensors").chmod(0o600)
    (directory / "model.safetensors").write_bytes(weights)
    with pytest.raises(manifest.ManifestError, match=r"model\.safetensors"):
        embedding.load(directory)
