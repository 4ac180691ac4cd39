"""The declaration of one tensor of a model's interface."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tensor:
    """One entry of `input [...]` or `output [...]` in a config.pbtxt.

    `dims` leave out the batch dimension that `max_batch_size` adds; -1 is one that a request
    chooses. `reshape` is what the backend sees in place of `dims` (`()` for NVIDIA's scalars);
    None leaves them alone. `ragged` lets requests of different shapes reach the model together.
    """

    name: str
    dtype: str
    dims: tuple[int, ...]
    optional: bool = False
    reshape: tuple[int, ...] | None = None
    ragged: bool = False
