"""Measures what a tritonserver without models takes of a GPU: its CUDA context, and its pools."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build_scripts import child_process, gpus, paths
from build_scripts.console import MIB
from build_scripts.container import NVIDIA
from build_scripts.errors import BuildError, MachineError
from build_scripts.gpus import Gpu
from build_scripts.memory.processes import POOL_BYTES

PINNED_POOL_BYTES = 256 * MIB  # Triton's default, of the host's memory
_START_S = 15.0  # it is there in two or three
_POLL_S = 0.1
_SETTLE_S = 1.0  # the driver's count follows the allocation


@dataclass(frozen=True)
class Runtime:
    """A tritonserver."""

    binary: Path
    about: str
    libraries: tuple[Path, ...] = ()  # to go before LD_LIBRARY_PATH


def runtime(nvidia: Path = NVIDIA, embedded: Path = paths.RUNTIME) -> Runtime:
    """NVIDIA's tritonserver if it is here, else the one that setup assembled, which knows CUDA too.

    Raises MachineError where there is none.
    """
    if (nvidia / "bin" / "tritonserver").is_file():
        return Runtime(nvidia / "bin" / "tritonserver", "the container's tritonserver")
    if (embedded / "bin" / "tritonserver").is_file():
        binary = embedded / "bin" / "tritonserver"
        return Runtime(binary, "the tritonserver of `make setup`", (embedded / "lib",))
    raise MachineError(
        f"there is no tritonserver, neither {nvidia} nor {embedded}: measure in the container, or "
        "run `make setup`"
    )


def figures(gpu: Callable[[], Gpu], runtime: Runtime) -> dict[str, dict[str, Any]]:
    """Figures `triton_context`, `cuda_pool` and `pinned_pool`: what each takes of the GPU.

    Raises MachineError where the server does not start, or the driver does not tell.
    """
    bare = bytes_taken(gpu, runtime, 0, 0)
    found = {"triton_context": (bare, "without models and pools")}
    for name, cuda, pinned, how in (
        ("cuda_pool", POOL_BYTES, 0, f"a CUDA pool of {POOL_BYTES // MIB} MiB"),
        ("pinned_pool", 0, PINNED_POOL_BYTES, f"{PINNED_POOL_BYTES // MIB} MiB of pinned memory"),
    ):
        grown = bytes_taken(gpu, runtime, cuda, pinned) - bare
        found[name] = (max(0, grown), f"what {how} adds")
    return {
        name: {"bytes": size, "how": f"by NVML, {runtime.about}, {how}"}
        for name, (size, how) in found.items()
    }


def bytes_taken(gpu: Callable[[], Gpu], runtime: Runtime, cuda_pool: int, pinned_pool: int) -> int:
    """Bytes of the card that an empty server with pools of these sizes takes.

    Raises MachineError.
    """
    before = gpu()
    libraries = [str(path) for path in runtime.libraries]
    inherited = os.environ.get("LD_LIBRARY_PATH")
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": ":".join([*libraries, *([inherited] if inherited else [])]),
    }
    with tempfile.TemporaryDirectory() as repository, tempfile.TemporaryFile("w+b") as log:
        port = _free_port()
        command = [
            str(runtime.binary),
            f"--model-repository={repository}", "--model-control-mode=explicit",
            "--allow-grpc=false", "--allow-metrics=false", "--http-address=127.0.0.1",
            f"--http-port={port}", f"--cuda-memory-pool-byte-size=0:{cuda_pool}",
            f"--pinned-memory-pool-byte-size={pinned_pool}",
        ]  # fmt: skip
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env=environment, preexec_fn=child_process.end_with_parent,
        )  # fmt: skip
        try:
            if not _is_ready(process, port):
                log.seek(0)
                said = log.read().decode(errors="replace").strip().splitlines()[-3:]
                raise MachineError(
                    f"`{runtime.binary}` did not start: {' / '.join(said) or 'silent'}"
                )
            time.sleep(_SETTLE_S)
            found = gpus.process_bytes(before, gpu(), process.pid)
        except OSError as error:
            raise BuildError(f"`{runtime.binary}` cannot be run ({error})") from None
        finally:
            process.kill()
            process.wait()
    if found is None:
        raise MachineError("the driver does not tell what tritonserver took of the card")
    return found


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _is_ready(process: subprocess.Popen[bytes], port: int) -> bool:
    end_s = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < end_s:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", "/v2/health/ready")
            if connection.getresponse().status == 200:
                return True
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(_POLL_S)
    return False
