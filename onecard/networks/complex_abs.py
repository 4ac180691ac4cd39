"""Magnitudes of complex tensors on GPUs that torch cannot compile a kernel for.

torch has no ready kernel for complex abs() on CUDA: its jiterator has NVRTC compile one at the
first call, for the very architecture of the GPU. An NVRTC that is older than the GPU refuses with
"invalid value for --gpu-architecture", although everything else runs (seen on SM121 with Kaldi's
filter bank, m-bain/whisperX, issue 1326; of the same kind on new GPUs before, pytorch/pytorch,
issue 87595). The bridge takes the magnitude from the real and imaginary parts, with kernels that
torch ships; no GPU is passed off as another.

For inference: at 0 the gradient is not abs()'s.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_SIGN = "nvrtc"
_PLACES: tuple[tuple[Any, str], ...] = (
    (torch, "abs"),
    (torch, "absolute"),
    (Tensor, "abs"),
    (Tensor, "absolute"),
    (Tensor, "__abs__"),
)
_originals: dict[tuple[Any, str], Callable[..., Any]] = {}


def magnitude(values: Tensor) -> Tensor:
    """|values|, real, of any complex tensor, from its parts."""
    return torch.hypot(values.real, values.imag)


def bridge_where_broken(device: torch.device | str) -> bool:
    """Install the bridge if abs() cannot be compiled for `device`; whether it is installed then.

    To be called where a model is loaded, before the first request. Raises RuntimeError for a fault
    that the bridge does not fix.
    """
    if torch.device(device).type == "cuda" and fault(device):
        install()
    return is_installed()


def fault(device: torch.device | str) -> str:
    """The first line of NVRTC's refusal to compile abs() for `device`; empty where it works.

    Raises RuntimeError for any other failure.
    """
    try:
        torch.ones(1, dtype=torch.complex64, device=device).abs()
    except RuntimeError as error:
        if _SIGN not in str(error):
            raise
        return next(line for line in str(error).splitlines() if _SIGN in line).strip()
    return ""


def install() -> None:
    """Replace abs() in this process, for complex tensors alone; a second call changes nothing."""
    if is_installed():
        return
    for owner, name in _PLACES:
        original = getattr(owner, name)
        _originals[owner, name] = original
        setattr(owner, name, _bridged(original))


def uninstall() -> None:
    """Put torch's own abs() back."""
    for (owner, name), original in _originals.items():
        setattr(owner, name, original)
    _originals.clear()


def is_installed() -> bool:
    return bool(_originals)


def _bridged(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def bridged(input: Any, *arguments: Any, **options: Any) -> Any:
        if not isinstance(input, Tensor) or not input.is_complex():
            return original(input, *arguments, **options)
        out = options.get("out")
        return magnitude(input) if out is None else out.copy_(magnitude(input))

    return bridged
