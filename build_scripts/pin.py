"""The container that engines are built in and served from: one place for its tag and versions.

It knows numbers and paths of one NVIDIA release, sourced from the compatibility matrix of
triton-inference-server/server (docs/introduction/compatibility.md) and from the image's Dockerfile
(triton-inference-server/tensorrtllm_backend, r25.10, dockerfile/Dockerfile.triton.trt_llm_backend).
Why this release, and what another one changes: docs/engines.md.
"""

from __future__ import annotations

IMAGE = "nvcr.io/nvidia/tritonserver"
TAG = "25.10-trtllm-python-py3"
DIGEST = ""  # sha256:... of the image once somebody has pulled it: docs/engines.md says how

TENSORRT_LLM = "1.0.0"
TENSORRT = "10.11.0.33"
CUDA = "12.9.1"
MIN_DRIVER = "575.57.08"  # as listed for this tag; GeForce boards have no forward compatibility

# Inside the container.
PYTHON = "/usr/bin/python3"  # the interpreter that has tensorrt_llm
EXAMPLES = "/app/examples"  # of the TensorRT-LLM release that is installed


def reference() -> str:
    """What a container runtime is asked for: by digest where it is known."""
    return f"{IMAGE}@{DIGEST}" if DIGEST else f"{IMAGE}:{TAG}"
