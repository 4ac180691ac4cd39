"""What keeps a server from being started: engines that are not made, said with what makes them."""

from __future__ import annotations

import dataclasses
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from build_scripts import child_process, container, paths
from build_scripts.engines import build
from build_scripts.errors import ServerError
from build_scripts.memory.deployment import deploy
from build_scripts.plans import plan, speaker_pipeline, topology
from build_scripts.server import launch, preflight
from build_scripts.server.served import Served
from onecard import manifest


def served(name: str, *, runtime: str = "nvidia", models: tuple[str, ...] | None = None) -> Served:
    loaded = plan.load(name)
    found = dataclasses.replace(launch.launch(loaded), runtime=runtime, models=models)  # type: ignore[arg-type]
    return Served(deploy(loaded), found)


def make(root: Path, *directories: str) -> None:
    for one in directories:
        (root / one).mkdir(parents=True)
        (root / one / manifest.FILENAME).write_text("{}")


def test_everything_that_is_missing_is_named_with_the_command(tmp_path: Path) -> None:
    make(tmp_path, "engines/rtx3090/whisper", "engines/rtx3090/embedding")
    with pytest.raises(ServerError) as caught:
        preflight.check_engines(served("rtx3090"), 22.8, tmp_path)
    assert str(caught.value) == (
        "engines that are not made yet: engines/rtx3090/llm, engines/rtx3090/align/en, "
        "engines/rtx3090/segmentation; `make engines PLAN=rtx3090 VRAM_GIB=22.8` makes them, in "
        "the container and on the card (docs/gpu/gpu.md)"
    )


def test_without_the_card_the_plan_without_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"Without that card: `make serve PLAN=cpu`$"):
        preflight.check_engines(served("rtx3090", runtime="embedded"), None, tmp_path)
    with pytest.raises(ServerError, match=r"engines/cpu/llm; `make engines PLAN=cpu` makes them$"):
        preflight.check_engines(served("cpu", runtime="embedded"), None, tmp_path)


def test_a_server_of_a_part_wants_that_part(tmp_path: Path) -> None:
    make(tmp_path, "engines/rtx3090/llm")
    preflight.check_engines(served("rtx3090", models=topology.TEXT), None, tmp_path)
    with pytest.raises(ServerError, match="engines/rtx3090/whisper, engines/rtx3090/align"):
        preflight.check_engines(served("rtx3090", models=("whisper", "align")), None, tmp_path)


def test_engines_of_another_plan_than_the_one_that_is_served_are_a_warning(tmp_path: Path) -> None:
    found = served("rtx3090")
    plan = found.deployment.plan
    make(
        tmp_path, *build.directories(plan), speaker_pipeline.directory(plan)
    )  # nobody recorded what they were made of
    warnings = preflight.check_engines(found, None, tmp_path)
    assert warnings[0] == (
        "warning: engines/rtx3090/whisper is not what the plan says now; `make engines "
        "PLAN=rtx3090` makes them, in the container and on the card (docs/gpu/gpu.md)"
    )
    rehearsed = dataclasses.replace(
        found, launch=dataclasses.replace(found.launch, runtime="embedded")
    )
    assert preflight.check_engines(rehearsed, None, tmp_path) == []


def test_a_language_that_is_not_fetched_yet_is_a_warning(tmp_path: Path) -> None:
    found = served("rtx3090", runtime="embedded")
    plan = found.deployment.plan
    make(tmp_path, *build.directories(plan), speaker_pipeline.directory(plan))
    align = dataclasses.replace(plan.align, languages=("de",))
    more = dataclasses.replace(found, deployment=deploy(dataclasses.replace(plan, align=align)))
    assert preflight.check_engines(more, None, tmp_path) == [
        "warning: engines/rtx3090/align/de is not made yet, so words of that language are timed in "
        "proportion to the text; `make engines PLAN=rtx3090` makes them, in the container and on "
        "the card (docs/gpu/gpu.md)"
    ]
    on_card = dataclasses.replace(more, launch=dataclasses.replace(more.launch, runtime="nvidia"))
    assert sum("align/de" in one for one in preflight.check_engines(on_card, None, tmp_path)) == 1


def test_few_open_files_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, 1024))
    assert "1024 files may be open" in preflight.check_files()[0]
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, 20_000))
    assert preflight.check_files() == []  # which `serve` raises it to


@pytest.mark.parametrize(
    ("limits", "raised"),
    [
        ((1024, 20_000), 20_000),
        ((1024, 2**30), child_process.MAX_FILES),
        ((1024, resource.RLIM_INFINITY), child_process.MAX_FILES),
        ((2**21, 2**22), 2**21),  # never lowered
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), resource.RLIM_INFINITY),
    ],
)
def test_as_many_files_as_allowed(
    limits: tuple[int, int], raised: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: limits)
    assert child_process.file_limit() == (raised, limits[1])


def test_it_is_said_before_triton_starts(tmp_path: Path) -> None:
    if paths.ENGINES.with_name("a40").exists():
        pytest.skip("this machine has engines of its own")
    ran = subprocess.run(
        [sys.executable, "-m", "build_scripts", "serve", "--plan", "a40", "--http-port", "18431",
         "--grpc-port", "18432", "--metrics-port", "18433"],
        cwd=paths.ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == ServerError.exit_code
    assert "engines that are not made yet: engines/a40/whisper" in ran.stderr
    assert "starting Triton" not in ran.stdout


def test_the_shared_memory_that_messages_ask_for_is_what_compose_gives() -> None:
    compose = (paths.ROOT / "docker/compose.yml").read_text(encoding="utf-8")
    assert f"shm_size: {container.SHM_SIZE}b " in compose
    assert f"`--shm-size={container.SHM_SIZE}`" in Path("docs/gpu/gpu.md").read_text(
        encoding="utf-8"
    )
