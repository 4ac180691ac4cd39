"""The bridge gives torch's own magnitudes, and mends what a GPU's refusal breaks.

There is no such GPU here: the refusal is a fake of it, and the arithmetic runs on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torchaudio.compliance import kaldi

from onecard.diarization import embedding
from onecard.networks import complex_abs

REFUSAL = "nvrtc: error: invalid value for --gpu-architecture (-arch)\n\nnvrtc compilation failed:"


@pytest.fixture(autouse=True)
def _uninstalled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield  # before `monkeypatch` takes its fakes back, for what was replaced may be one of them
    complex_abs.uninstall()


def _noise(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


def _refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every complex abs() fails as on a GPU that NVRTC does not know."""
    own = Tensor.abs

    def refusing(self: Tensor) -> Tensor:
        if self.is_complex():
            raise RuntimeError(REFUSAL)
        return own(self)

    monkeypatch.setattr(Tensor, "abs", refusing)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_magnitudes_are_torchs_own(dtype: torch.dtype) -> None:
    values = torch.complex(_noise(64, 201, dtype=dtype), _noise(64, 201, dtype=dtype))
    values[0, :3] = torch.tensor([0, 1e-30, complex(3e30, 4e30)])
    for one in (values, values.conj(), values.mT, values[:, ::7]):
        wanted = one.abs()
        found = complex_abs.magnitude(one)
        assert found.dtype == wanted.dtype
        torch.testing.assert_close(
            found, wanted, rtol=1e-6 if dtype == torch.float32 else 1e-14, atol=0
        )


def test_every_way_to_ask_is_bridged_and_real_tensors_are_left_alone() -> None:
    values, real = torch.complex(_noise(9), _noise(9)), _noise(9)
    wanted, wanted_real = values.abs(), real.abs()
    complex_abs.install()
    complex_abs.install()
    out = torch.empty(9)
    asked: list[Any] = [
        values.abs(),
        torch.abs(values),
        values.absolute(),
        torch.absolute(values),
        abs(values),
        torch.abs(values, out=out),
        out,
    ]
    for found in asked:
        torch.testing.assert_close(found, wanted, rtol=1e-6, atol=0)
    assert torch.equal(real.abs(), wanted_real)
    assert torch.equal(abs(real), wanted_real)
    complex_abs.uninstall()
    assert not complex_abs.is_installed()
    assert torch.equal(values.abs(), wanted)


def test_kaldis_filter_bank_runs_over_the_bridge_under_vmap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As pyannote's WeSpeaker model calls it."""
    waveforms = _noise(3, 1, 16_000)

    def fbank() -> Tensor:
        one_by_one = torch.vmap(lambda one: kaldi.fbank(one, num_mel_bins=80, dither=0.0))
        found: Tensor = one_by_one(waveforms)
        return found

    wanted = fbank()
    _refuse(monkeypatch)
    with pytest.raises(RuntimeError, match="nvrtc"):
        fbank()
    complex_abs.install()
    torch.testing.assert_close(fbank(), wanted, rtol=1e-5, atol=1e-5)


def test_speaker_embeddings_are_the_same_over_the_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(2)
    speaker = embedding.SpeakerEmbedding(embedding.SpeakerEncoder())
    waveforms = 0.1 * _noise(2, 1, 48_000)
    wanted = torch.from_numpy(speaker(waveforms))
    _refuse(monkeypatch)
    complex_abs.install()
    torch.testing.assert_close(torch.from_numpy(speaker(waveforms)), wanted, rtol=1e-5, atol=1e-6)


def test_it_is_installed_only_where_the_kernel_cannot_be_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not complex_abs.bridge_where_broken("cpu")
    assert complex_abs.fault("cpu") == ""
    monkeypatch.setattr(complex_abs, "fault", lambda device: "")
    assert not complex_abs.bridge_where_broken("cuda")
    monkeypatch.setattr(complex_abs, "fault", lambda device: REFUSAL)
    assert complex_abs.bridge_where_broken("cuda")
    assert complex_abs.is_installed()


def test_only_nvrtcs_refusal_is_taken_for_the_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    _refuse(monkeypatch)
    assert complex_abs.fault("cpu") == REFUSAL.splitlines()[0]

    def out_of_memory(self: Tensor) -> Tensor:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(Tensor, "abs", out_of_memory)
    with pytest.raises(RuntimeError, match="out of memory"):
        complex_abs.fault("cpu")
