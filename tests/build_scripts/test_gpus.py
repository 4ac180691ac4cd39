"""What is read from NVML, over a fake of its module."""

from __future__ import annotations

from build_scripts import gpus
from build_scripts.gpus import GpuProcess
from tests.build_scripts.fake_nvml import GIB, FakeCard, FakeNvml

RTX_3090 = FakeCard("NVIDIA GeForce RTX 3090", (8, 6), (24 * GIB, 23 * GIB))
RTX_4090 = FakeCard("NVIDIA GeForce RTX 4090", (8, 9), (24 * GIB, 24 * GIB))


def test_a_machine_without_a_driver_has_no_gpus_and_says_why() -> None:
    fake = FakeNvml(RTX_3090, has_driver=False)
    assert gpus.gpus(fake, {}) == []
    assert gpus.problem(fake) == "NVML Shared Library Not Found"


def test_this_machine_is_asked_without_an_error() -> None:
    assert isinstance(gpus.gpus(environment={}), list)


def test_a_gpu_is_read_with_its_processes_largest_first_and_each_once() -> None:
    card = FakeCard(
        "NVIDIA GeForce RTX 3090",
        (8, 6),
        (24 * GIB, 20 * GIB),
        computing={7: 3 * GIB, 9: None},
        drawing={7: GIB, 8: 4 * GIB},
    )
    fake = FakeNvml(card, names={7: "/opt/tritonserver/bin/tritonserver"})
    [found] = gpus.gpus(fake, {})
    assert (found.name, found.sm, found.driver, found.cuda) == (
        "NVIDIA GeForce RTX 3090",
        86,
        "575.57.08",
        "12.9",
    )
    assert found.used_bytes == 4 * GIB
    assert found.processes == (
        GpuProcess(8, "", 4 * GIB),
        GpuProcess(7, "/opt/tritonserver/bin/tritonserver", 3 * GIB),
        GpuProcess(9, "", 0),
    )
    assert fake.num_open == 0


def test_unified_memory_is_the_machines_own() -> None:
    [found] = gpus.gpus(FakeNvml(FakeCard("NVIDIA GB10", (12, 1), None)), {})
    total, _ = gpus.host_memory()
    assert found.unified
    assert found.sm == 121
    assert found.total_bytes == total
    assert 0 < found.free_bytes <= total


def test_cuda_visible_devices_is_honoured() -> None:
    fake = FakeNvml(RTX_3090, RTX_4090)

    def names(value: str) -> list[int]:
        return [gpu.index for gpu in gpus.gpus(fake, {"CUDA_VISIBLE_DEVICES": value})]

    assert names("1") == [1]
    assert names("1,0") == [1, 0]
    assert names("GPU-0") == [0]
    assert names("") == []
    assert names("0,7,1") == [0]  # as CUDA does: up to the first that is not there


def test_a_driver_that_fails_midway_is_no_gpu() -> None:
    class Lost(FakeNvml):
        def nvmlDeviceGetCount(self) -> int:
            raise self.NVMLError("Driver/library version mismatch")

    lost = Lost(RTX_3090)
    assert gpus.gpus(lost, {}) == []
    assert lost.num_open == 0
