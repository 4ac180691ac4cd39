"""A fake of the `pynvml` module: GPUs that a test states, and the errors that a driver gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

from build_scripts.gpus import Gpu, GpuProcess

GIB = 2**30


def gpu(
    name: str = "NVIDIA GeForce RTX 3090",
    sm: int = 86,
    total_gib: float = 24.0,
    free_gib: float | None = None,
    index: int = 0,
    processes: tuple[GpuProcess, ...] = (),
    driver: str = "580.95.05",
) -> Gpu:
    """What `nvml.gpus` would say of one."""
    free = total_gib if free_gib is None else free_gib
    return Gpu(
        index, name, sm, int(total_gib * GIB), int(free * GIB), driver, processes, "13.0", "GPU-1"
    )


class FakeError(Exception):
    """pynvml.NVMLError."""


class FakeNotSupported(FakeError):
    """pynvml.NVMLError_NotSupported."""


@dataclass
class FakeCard:
    """`memory`: total and free bytes; None: the driver reports none. Processes: pid -> bytes."""

    name: str
    capability: tuple[int, int]
    memory: tuple[int, int] | None
    computing: dict[int, int | None] = field(default_factory=dict)
    drawing: dict[int, int | None] = field(default_factory=dict)


class FakeNvml:
    """Stands in for the module; `has_driver=False` fails as a machine without libnvidia-ml does."""

    NVMLError = FakeError
    NVMLError_NotSupported = FakeNotSupported

    def __init__(
        self, *cards: FakeCard, has_driver: bool = True, names: dict[int, str] | None = None
    ) -> None:
        self.cards = list(cards)
        self.has_driver = has_driver
        self.names = names or {}
        self.num_open = 0

    def nvmlInit(self) -> None:
        if not self.has_driver:
            raise FakeError("NVML Shared Library Not Found")
        self.num_open += 1

    def nvmlShutdown(self) -> None:
        self.num_open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeCard:
        return self.cards[index]

    def nvmlDeviceGetName(self, card: FakeCard) -> bytes:
        return card.name.encode()  # as older releases of pynvml do

    def nvmlDeviceGetUUID(self, card: FakeCard) -> str:
        return f"GPU-{self.cards.index(card)}aa"

    def nvmlDeviceGetCudaComputeCapability(self, card: FakeCard) -> tuple[int, int]:
        return card.capability

    def nvmlDeviceGetMemoryInfo(self, card: FakeCard) -> SimpleNamespace:
        if card.memory is None:
            raise FakeNotSupported("Not Supported")
        return SimpleNamespace(total=card.memory[0], free=card.memory[1])

    def nvmlSystemGetDriverVersion(self) -> str:
        return "575.57.08"

    def nvmlSystemGetCudaDriverVersion_v2(self) -> int:
        return 12090

    def nvmlDeviceGetComputeRunningProcesses(self, card: FakeCard) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=p, usedGpuMemory=b) for p, b in card.computing.items()]

    def nvmlDeviceGetGraphicsRunningProcesses(self, card: FakeCard) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=p, usedGpuMemory=b) for p, b in card.drawing.items()]

    def nvmlSystemGetProcessName(self, pid: int) -> str:
        if pid not in self.names:
            raise FakeError("Not Found")
        return self.names[pid]
