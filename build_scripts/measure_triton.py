"""What a tritonserver without models takes of a card: its CUDA context.

It knows how an empty one is started and ended, and nothing of plans.
"""

from __future__ import annotations

import http.client
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from build_scripts import measure_taken, processes
from build_scripts.launch import NVIDIA
from build_scripts.nvml import Gpu

_START_S = 60.0
_POLL_S = 0.2
_SETTLE_S = 1.0  # the driver's count follows the allocation


def context_bytes(
    gpu: Callable[[], Gpu], port: int, binary: Path = NVIDIA / "bin" / "tritonserver"
) -> int | None:
    """Bytes of an empty tritonserver without pools; None where there is none here, or it does not
    start, or it takes nothing of the card."""
    if not binary.is_file():
        return None
    before = gpu()
    with tempfile.TemporaryDirectory() as repository:
        command = [
            str(binary), f"--model-repository={repository}", "--model-control-mode=explicit",
            "--allow-grpc=false", "--allow-metrics=false", "--http-address=127.0.0.1",
            f"--http-port={port}", "--cuda-memory-pool-byte-size=0:0",
            "--pinned-memory-pool-byte-size=0",
        ]  # fmt: skip
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
            preexec_fn=processes.end_with_parent,
        )  # fmt: skip
        try:
            if not _is_ready(process, port):
                return None
            time.sleep(_SETTLE_S)
            return measure_taken.taken(before, gpu(), process.pid)
        finally:
            process.kill()
            process.wait()


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
