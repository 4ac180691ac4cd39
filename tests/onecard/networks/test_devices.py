"""The plan chooses the device, the operator may choose another, and nothing falls back silently."""

import pytest
import torch

from onecard.networks import devices


def test_the_operator_wins_over_the_plan(monkeypatch):
    monkeypatch.delenv(devices.OVERRIDE, raising=False)
    assert devices.device("cpu") == torch.device("cpu")
    monkeypatch.setenv(devices.OVERRIDE, "cpu")
    assert devices.device("cuda") == torch.device("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.delenv(devices.OVERRIDE, raising=False)
    with pytest.raises(RuntimeError, match=r"wants `cuda`.*ONECARD_DEVICE=cpu"):
        devices.device("cuda")
