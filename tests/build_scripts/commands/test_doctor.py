"""What doctor says of machines: this one, and those that a test states."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from build_scripts import gpus as nvml
from build_scripts.bootstrap import requirements
from build_scripts.commands import doctor
from build_scripts.doctor import (
    container,
    host,
    packages,
    torch,
)
from build_scripts.doctor import (
    engines as doctor_engines,
)
from build_scripts.doctor import (
    gpu as doctor_gpu,
)
from build_scripts.doctor.finding import Finding
from build_scripts.doctor.torch import Torch
from build_scripts.gpus import Gpu, GpuProcess
from build_scripts.memory.deployment import deploy
from build_scripts.plans import plan
from build_scripts.plans.schema import Plan
from tests.build_scripts.fake_nvml import GIB, gpu


@pytest.fixture(scope="module")
def reference() -> Plan:
    return plan.load("rtx3090")


def named(findings: list[Finding], what: str) -> Finding:
    (found,) = (one for one in findings if one.what == what)
    return found


def of_gpu(reference: Plan, *gpus: Gpu, problem: str = "") -> list[Finding]:
    return list(doctor_gpu.check(deploy(reference), gpus, {}, problem))


def test_the_plan_without_a_card_passes_on_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--plan", "cpu", "--json"], {}) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["fit"]
    assert said["plan"] == "cpu"
    assert {one["status"] for one in said["findings"]} == {"pass"}
    assert "4 directories" in said["findings"][-1]["wanted"]


def test_without_a_gpu_a_plan_with_a_card_fails_and_says_how_to_mend_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(nvml, "gpus", lambda **_: [])
    monkeypatch.setattr(nvml, "problem", lambda: "NVML Shared Library Not Found")
    assert doctor.main([], {"PLAN": "rtx3090"}) == 3
    said = capsys.readouterr().out
    assert "fail  GPU: none (NVML Shared Library Not Found) (wanted RTX 3090, SM86)" in said
    lines = said.splitlines()
    for number, line in enumerate(lines):
        if line.startswith(("fail", "warn")):
            assert lines[number + 1].startswith("      -> "), line


def test_auto_is_the_cpu_where_there_is_no_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(nvml, "gpus", lambda **_: [])
    assert doctor.main(["--plan", "auto"], {}) == 0
    assert "plan cpu" in capsys.readouterr().out


def test_the_right_idle_card_passes(reference: Plan) -> None:
    found = of_gpu(reference, gpu(free_gib=23.5))
    assert {one.status for one in found} == {"pass"}


@pytest.mark.parametrize(
    ("there", "what", "status", "said"),
    [
        (gpu(driver="570.124.06"), "driver", "fail", "575.57.08 or newer"),
        (gpu("NVIDIA A10", 86, driver="570.124.06"), "driver", "warn", "forward-compat"),
        (gpu("NVIDIA RTX A6000", driver="570.1"), "driver", "fail", "575.57.08"),
        (gpu("NVIDIA L4", 89), "GPU", "fail", "SM89"),
        (gpu("NVIDIA RTX A6000", 86, 48.0), "GPU", "warn", "another card"),
        (gpu(total_gib=12.0), "VRAM", "fail", "card.vram_gib to 12"),
        (gpu(free_gib=10, processes=(GpuProcess(7, "ollama", 9 * GIB),)), "free VRAM", "fail",
         "pid 7 `ollama` 9216 MiB"),
        (gpu(free_gib=10), "free VRAM", "fail", "cannot be seen from here"),
    ],
)  # fmt: skip
def test_any_other_card_is_named_with_what_to_do(
    reference: Plan, there: Gpu, what: str, status: str, said: str
) -> None:
    found = named(of_gpu(reference, there), what)
    assert found.status == status
    assert found.cure
    assert said in found.text()


def test_free_memory_is_compared_with_the_pools_that_the_environment_asks_for(
    reference: Plan,
) -> None:
    asked = {"MAX_TOKENS_IN_KV_CACHE": "6144", "MAX_ATTENTION_WINDOW_SIZE": "6144"}
    usual, turned = deploy(reference).ledger, deploy(reference, environment=asked).ledger
    assert usual is not None
    assert turned is not None
    between = gpu(free_gib=21)  # less than the plan's own 21.3 GiB beside the driver's
    assert doctor_gpu.free_memory(usual, between).status == "fail"
    assert doctor_gpu.free_memory(turned, between).status == "pass"


def test_an_older_cuda_may_do_within_its_major_version(reference: Plan) -> None:
    assert doctor_gpu.cuda(dataclasses.replace(gpu(), cuda="12.4")).status == "warn"
    assert doctor_gpu.cuda(dataclasses.replace(gpu(), cuda="11.8")).status == "fail"
    assert doctor_gpu.cuda(dataclasses.replace(gpu(), cuda="13.0")).status == "pass"


def test_of_several_gpus_the_largest_is_meant_and_said(reference: Plan) -> None:
    found = of_gpu(reference, gpu("NVIDIA T400", 75, 4.0), gpu(free_gib=23.5, index=1))
    assert "CUDA_VISIBLE_DEVICES=GPU-1" in named(found, "GPUs").cure
    assert named(found, "GPU").status == "pass"


def test_a_hidden_gpu_is_not_a_missing_driver(reference: Plan) -> None:
    (found,) = doctor_gpu.check(deploy(reference), [], {"CUDA_VISIBLE_DEVICES": "7"})
    assert "CUDA_VISIBLE_DEVICES=`7`" in found.found


@pytest.mark.parametrize(
    ("total_gib", "are_built", "status"),
    [(64, False, "pass"), (31, False, "warn"), (16, False, "fail"), (16, True, "pass")],
)
def test_building_wants_more_memory_than_serving(
    reference: Plan, total_gib: int, are_built: bool, status: str
) -> None:
    assert host.ram(deploy(reference), total_gib * GIB, GIB, are_built).status == status


def test_what_setup_lacks_is_found_wanted_and_cure() -> None:
    found = host.requirement("C library", "-", requirements.c_library(("musl", "1.2")))
    assert (found.status, found.found) == ("fail", "the C library is `musl 1.2`")
    assert (found.wanted, found.cure[:9]) == ("glibc 2.35 or newer", "Debian 12")
    assert host.requirement("C library", "glibc 2.36", None).status == "pass"


def test_a_small_shared_memory_is_a_warning() -> None:
    assert host.shared_memory(512 * 2**20).status == "pass"
    found = host.shared_memory(64 * 2**20)
    assert (found.status, found.found) == ("warn", "/dev/shm has 64 MiB free")
    assert "--shm-size=8g" in found.cure


def docker(info: dict[str, object] | None) -> container.Ask:
    answers = {"--version": "Docker version 28", "compose": "v2", "info": json.dumps(info or {})}
    return lambda command: answers.get(command[1])


@pytest.mark.parametrize(
    ("info", "status", "said"),
    [
        ({"ServerVersion": "28.1", "Runtimes": {"runc": {}, "nvidia": {}}}, "pass", "nvidia"),
        ({"ServerVersion": "28.1", "Runtimes": {"runc": {}}}, "fail", "nvidia-ctk"),
        ({"ServerVersion": "20.10.5", "Runtimes": {"nvidia": {}}}, "warn", "upgrade"),
        ({"ServerErrors": ["permission denied"]}, "fail", "group docker"),
    ],
)
def test_docker_is_asked_for_nvidias_runtime(
    info: dict[str, object], status: str, said: str
) -> None:
    found = list(container.outside(docker(info)))
    assert [one.status for one in found] == [status]
    assert said in found[0].text()


def test_podman_wants_a_description_of_the_gpu(tmp_path: Path) -> None:
    def asked(command: list[str]) -> str | None:
        return "podman 5" if command[0] == "podman" else None

    (found,) = container.outside(asked, (tmp_path,))
    assert found.status == "fail"
    assert "nvidia-ctk cdi generate" in found.cure
    (tmp_path / "nvidia.yaml").touch()
    (found,) = container.outside(asked, (tmp_path,))
    assert found.status == "pass"


def of_torch(reference: Plan, found: Torch, sm: int = 86, inside: bool = True) -> list[Finding]:
    assert reference.card is not None
    card = dataclasses.replace(reference.card, sm=sm)
    return list(torch.check(dataclasses.replace(reference, card=card), found, inside))


@pytest.mark.parametrize(
    ("found", "status", "said"),
    [
        (Torch("2.8", "12.6", True, ("sm_80", "sm_90")), "pass", ""),
        (Torch("2.8", "12.6", True, ("sm_50", "sm_90")), "fail", "TORCH_INDEX"),
        (Torch("2.8", "12.6"), "fail", "older than CUDA 12.6"),
        (Torch("2.8+cpu"), "fail", "a CPU build"),
        (Torch(error="status 1: no torch"), "fail", "no torch"),
    ],
)
def test_torch_has_code_for_the_card(reference: Plan, found: Torch, status: str, said: str) -> None:
    first = of_torch(reference, found)[0]
    assert first.status == status
    assert said in first.text()


def test_an_nvrtc_that_refuses_is_a_warning_for_the_bridge_is_there(reference: Plan) -> None:
    refusal = "nvrtc: error: invalid value for --gpu-architecture (-arch)"
    found = of_torch(reference, Torch("2.7", "12.8", True, ("sm_120",), refusal), 121)
    assert [one.status for one in found] == ["pass", "warn"]
    assert found[1].found == refusal
    assert "complex_abs" in found[1].cure


def test_outside_of_the_container_new_cards_are_told_where_nvrtc_is_tried(reference: Plan) -> None:
    found = of_torch(reference, Torch("2.8+cpu"), 121, inside=False)
    assert [one.status for one in found] == ["pass", "warn"]
    assert len(of_torch(reference, Torch("2.8+cpu"), 86, inside=False)) == 1


@pytest.mark.parametrize(
    ("sm", "archs", "has"),
    [
        (86, ("sm_80",), True),
        (80, ("sm_86",), False),
        (121, ("sm_120",), True),
        (120, ("sm_90", "compute_90"), True),
        (121, ("sm_120a",), False),
        (120, ("sm_90",), False),
    ],
)
def test_binaries_are_for_a_major_version_and_ptx_for_what_is_newer(
    sm: int, archs: tuple[str, ...], has: bool
) -> None:
    assert torch.has_code_for(sm, archs) is has


def test_the_child_process_asks_the_environments_torch() -> None:
    found = torch.look()
    assert found.torch
    assert not found.error


def test_engines_that_are_not_there_yet_are_a_warning_and_half_of_them_a_failure(
    reference: Plan, tmp_path: Path
) -> None:
    engines = doctor_engines.Engines(reference, tmp_path)
    assert not engines.are_built
    assert engines.finding().status == "warn"
    (tmp_path / "engines/rtx3090/llm").mkdir(parents=True)
    found = engines.finding()
    assert found.status == "fail"
    assert "`engines/rtx3090/llm/manifest.json` is missing" in found.found
    assert "make engines PLAN=rtx3090" in found.cure


def test_packages_are_held_against_the_locks() -> None:
    wanted = {"torch": "2.13.0", "numpy": "1.26.4", "av": "15.0"}
    found = {"torch": "2.13.0+cpu", "numpy": "1.26.4", "own": "1"}
    good = packages.finding(found, wanted)
    assert (good.status, good.found) == ("pass", "2 of 3 as the locks pin them")
    assert "without a hash" in packages.finding(found, wanted, unpinned=True).found
    bad = packages.finding({**found, "numpy": "2.0.0"}, wanted)
    assert (bad.status, bad.found) == ("warn", "numpy 2.0.0 instead of 1.26.4")
    assert packages.check().status == "pass"  # this environment was made from them


def test_every_package_is_listed_by_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--packages", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["environment"]["numpy"].startswith("1.26")
    assert set(found) <= {"environment", "tensorrt_llm", "debian"}
