"""What torch says, in order, after errors too."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from onecard.networks.compiled import Compiled, available

WEIGHTS = torch.arange(12.0).reshape(4, 3)


class Network(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x @ WEIGHTS)


@pytest.fixture(scope="module", params=[1, 2])
def compiled(request: pytest.FixtureRequest) -> Compiled:
    return Compiled(
        Network(), (torch.zeros(1, 4),), [(-1, 4)], precision="float32", num_threads=request.param
    )


def batches(*sizes: int) -> list[tuple[np.ndarray]]:
    generator = np.random.default_rng(0)
    return [(generator.normal(size=(size, 4)).astype(np.float32),) for size in sizes]


def test_batches_of_any_size_give_what_torch_gives_in_order(compiled) -> None:
    asked = batches(3, 1, 7, 2)
    for found, (inputs,) in zip(compiled(asked), asked, strict=True):
        np.testing.assert_allclose(found, Network()(torch.from_numpy(inputs)), atol=1e-5)
    assert compiled([]) == []


def test_a_call_that_failed_spoils_no_later_one(compiled) -> None:
    (good,) = batches(2)
    for bad in (np.zeros((2, 5), np.float32), np.zeros((2, 4, 1), np.float32)):
        with pytest.raises(RuntimeError):
            compiled([good, (bad,), good])
        assert len(compiled([good, good])) == 2


def test_a_precision_that_the_processor_lacks_becomes_float32() -> None:
    assert available("float32") == "float32"
    assert available("bfloat16") in ("bfloat16", "float32")
    assert available("float16") in ("float16", "float32")
