"""Measures the memory that a process takes for torch's tensors, on a GPU or the CPU."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch

from build_scripts import gpus
from build_scripts.errors import MachineError
from build_scripts.gpus import Gpu
from build_scripts.plans import match

_STATUS = Path("/proc/self/status")
_CLEAR_PEAK = (Path("/proc/self/clear_refs"), "5")  # man proc: resets VmHWM


class Meter(Protocol):
    """The memory of this process; `device` is where the tensors go."""

    device: torch.device

    def held(self) -> int:
        """Bytes after what is idle was given back; the peak begins anew."""

    def peak(self) -> int:
        """The most bytes since `held`."""

    def outside(self) -> int | None:
        """Bytes beside tensors: context, kernels, handles; None where that cannot be told."""


class CardMeter:
    """The memory that torch's allocator has reserved on the GPU: nobody else can have it."""

    def __init__(self, read: Callable[[], list[Gpu]] = gpus.gpus) -> None:
        """Raises MachineError where torch cannot use a card."""
        self._read = read
        self._before = self._gpu()
        if not torch.cuda.is_available():
            raise MachineError(
                f"torch {torch.__version__} finds no CUDA device, wanted one: `make doctor` looks "
                "at the driver; a `+cpu` build of torch needs the image of docker/ or a CUDA build"
            )
        self.device = torch.device("cuda")
        _warm_up(self.device)
        self._workspaces = self.held()  # cuBLAS's lie in the allocator and stay there

    def held(self) -> int:
        torch.cuda.synchronize()
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_reserved()

    def peak(self) -> int:
        torch.cuda.synchronize()
        return torch.cuda.max_memory_reserved()

    def outside(self) -> int | None:
        tensors = self.held() - self._workspaces
        found = gpus.process_bytes(self._before, self._gpu(), os.getpid())
        return None if found is None else found - tensors

    def _gpu(self) -> Gpu:
        found = self._read()
        if not found:
            raise MachineError("NVML shows no GPU, wanted one: `make doctor` says what is missing")
        return match.largest(found)


class CpuMeter:
    """The resident memory of this process, which says nothing about any GPU."""

    def __init__(self) -> None:
        self.device = torch.device("cpu")

    def held(self) -> int:
        gc.collect()
        path, text = _CLEAR_PEAK
        path.write_text(text, encoding="ascii")
        return _status("VmRSS")

    def peak(self) -> int:
        return _status("VmHWM")

    def outside(self) -> int | None:
        return None


def meter(device: str) -> Meter:
    """Raises MachineError."""
    return CardMeter() if device == "cuda" else CpuMeter()


def _warm_up(device: torch.device) -> None:
    """cuBLAS and cuDNN in both precisions: their handles belong to the context."""
    for dtype in (torch.float16, torch.float32):
        matrix = torch.ones(256, 256, device=device, dtype=dtype)
        torch.nn.functional.conv1d(matrix[None], matrix[..., None])
        (matrix @ matrix).sum().item()


def _status(name: str) -> int:
    for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise MachineError(f"`{_STATUS}` has no line `{name}`, wanted it of Linux's /proc")
