"""The container: whether this is the pinned one, or else whether one with a GPU can be started."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from build_scripts import container
from build_scripts.doctor.finding import Finding, passed
from build_scripts.engines import builder
from build_scripts.errors import MachineError
from build_scripts.plans.schema import Plan

TIMEOUT_S = 20.0
MIN_DOCKER = 24
CDI = (Path("/etc/cdi"), Path("/var/run/cdi"))  # where nvidia-ctk writes what Podman reads
_TOOLKIT = "install the NVIDIA Container Toolkit (docs/gpu/gpu.md)"

Ask = Callable[[list[str]], "str | None"]


def ask(command: list[str]) -> str | None:
    """The output of a command; None if it is not installed, fails or hangs."""
    if shutil.which(command[0]) is None:
        return None
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ran.stdout.strip() if ran.returncode == 0 else None


def is_inside(plan: Plan) -> bool:
    """Whether NVIDIA's Triton with its backend is installed here, for a plan with a card."""
    return container.runtime(plan.card is not None) == "nvidia"


def check(plan: Plan) -> Iterator[Finding]:
    """Findings about the container, for a plan with a card."""
    if is_inside(plan):
        yield inside()
    else:
        yield from outside(ask)


def inside() -> Finding:
    """Compare the versions in this container with the pinned ones."""
    try:
        found = builder.versions()
        builder.verify_versions(found)
    except MachineError as error:
        return Finding(
            "fail", "container", str(error), container.TAG, f"use `{container.REFERENCE}`"
        )
    return passed("container", f"TensorRT-LLM {found['tensorrt_llm']}, here", container.TAG)


def outside(asked: Ask, cdi: tuple[Path, ...] = CDI) -> Iterator[Finding]:
    """Findings about Docker or Podman, which start the container with a GPU."""
    docker = asked(["docker", "--version"])
    if docker is None and asked(["podman", "--version"]) is not None:
        yield _podman(cdi)
        return
    if docker is None:
        yield Finding(
            "fail",
            "container",
            "neither NVIDIA's container around this, nor Docker, nor Podman",
            f"`{container.REFERENCE}`, or what starts it",
            f"install Docker {MIN_DOCKER} or newer with Compose v2, and the NVIDIA Container "
            "Toolkit (docs/gpu/gpu.md)",
        )
        return
    yield _docker(asked)
    if asked(["docker", "compose", "version"]) is None:
        cure = "install the package docker-compose-plugin (docs.docker.com/compose/install)"
        yield Finding("warn", "Compose", "`docker compose` does not answer", "v2", cure)


def _docker(asked: Ask) -> Finding:
    text = asked(["docker", "info", "--format", "{{json .}}"])
    info = json.loads(text) if text else {}
    if not info.get("ServerVersion"):
        cure = "start it (`sudo systemctl start docker`); may this user, is it in group docker?"
        return Finding("fail", "container", "Docker's engine does not answer", "one", cure)
    version, runtimes = info["ServerVersion"], info.get("Runtimes") or {}
    devices = [one for one in info.get("DiscoveredDevices") or () if "nvidia" in str(one)]
    found = f"Docker {version}, runtimes {', '.join(sorted(runtimes)) or 'none'}"
    wanted = f"Docker {MIN_DOCKER} or newer with the runtime nvidia"
    if "nvidia" not in runtimes and not devices:
        cure = f"{_TOOLKIT}, `sudo nvidia-ctk runtime configure --runtime=docker`, restart Docker"
        return Finding("fail", "container", found, wanted, cure)
    major = version.split(".")[0]
    if major.isdigit() and int(major) < MIN_DOCKER:
        return Finding("warn", "container", found, wanted, "upgrade Docker")
    return passed("container", found, wanted)


def _podman(cdi: tuple[Path, ...]) -> Finding:
    files = [one for folder in cdi for one in folder.glob("*nvidia*")]
    wanted = "a CDI description of the GPU"
    if files:
        return passed("container", f"Podman, {files[0]}", wanted)
    cure = f"{_TOOLKIT}, `sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`"
    return Finding("fail", "container", "Podman, without one", wanted, cure)
