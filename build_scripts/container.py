"""The container that engines are built in and served from: what is in the one that is pinned.

The pin itself is one line, `ARG TRITON_TAG` of docker/Dockerfile, where Docker needs it; the digest
beside it is that tag's. This reads both, and knows what each release holds: numbers and paths from
the compatibility matrix of triton-inference-server/server (docs/introduction/compatibility.md) and
from the images' Dockerfiles (triton-inference-server/tensorrtllm_backend, r25.10 and r26.07,
dockerfile/Dockerfile.triton.trt_llm_backend). Why this release, and what another one changes:
docs/gpu/engines.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from build_scripts import paths
from build_scripts.errors import InstallError

DOCKERFILE = paths.ROOT / "docker" / "Dockerfile"


@dataclass(frozen=True)
class Release:
    """`min_driver`: as listed for the tag; GeForce boards have no forward compatibility.
    `python`: the interpreter that has tensorrt_llm. `xgrammar`: what its executor guides with
    (TensorRT-LLM's requirements.txt and 3rdparty; release notes of 1.0; its PR 12790 for 1.2.1)."""

    tensorrt_llm: str
    tensorrt: str
    cuda: str
    min_driver: str
    xgrammar: str
    python: str = "/usr/bin/python3"


RELEASES = {
    "25.10-trtllm-python-py3": Release("1.0.0", "10.11.0.33", "12.9.1", "575.57.08", "0.1.21"),
    # The last one with engines. Nothing of onecard has run in it; docs/gpu/engines.md says what to
    # look at.
    "26.07-trtllm-python-py3": Release(
        "1.2.1", "10.14.1.48", "13.1.0", "590.44.01", "0.1.32", "/opt/venv-tritonserver/bin/python3"
    ),
}


def arguments(dockerfile: Path = DOCKERFILE) -> dict[str, str]:
    """The defaults of its `ARG TRITON_*`. Raises InstallError where it cannot be read."""
    try:
        text = dockerfile.read_text(encoding="utf-8")
    except OSError as error:
        raise InstallError(
            f"`{dockerfile}` cannot be read ({error.strerror}), wanted the pin of it"
        ) from None
    return dict(re.findall(r'^ARG (TRITON_\w+)="?([^"\s]*)"?$', text, re.MULTILINE))


def release(tag: str) -> Release:
    """Raises InstallError for a tag whose versions nobody wrote down."""
    if tag not in RELEASES:
        raise InstallError(
            f"docker/Dockerfile pins `{tag}`, known are {', '.join(RELEASES)}: take one of them, "
            "or add its versions to build_scripts/container.py (docs/gpu/engines.md, Another "
            "container)"
        )
    return RELEASES[tag]


def reference(image: str, tag: str, digest: str) -> str:
    """What a container runtime is asked for: by digest where it is known."""
    return f"{image}@{digest}" if digest else f"{image}:{tag}"


_pinned = arguments()
TAG = _pinned.get("TRITON_TAG", "")
REFERENCE = reference(_pinned.get("TRITON_IMAGE", ""), TAG, _pinned.get("TRITON_DIGEST", ""))

_release = release(TAG)
TENSORRT_LLM = _release.tensorrt_llm
TENSORRT = _release.tensorrt
CUDA = _release.cuda
MIN_DRIVER = _release.min_driver
XGRAMMAR = _release.xgrammar  # docker/xgrammar.lock, for `onecard.guides.admission`

# Inside the container.
PYTHON = _release.python
EXAMPLES = "/app/examples"  # of the TensorRT-LLM release that is installed


Runtime = Literal["nvidia", "embedded"]

SHM_SIZE = "8g"  # of /dev/shm, as docker/compose.yml gives it to the server

NVIDIA = Path("/opt/tritonserver")  # where the pinned container has Triton
_BACKEND = "backends/tensorrtllm/libtriton_tensorrtllm.so"


def runtime(has_card: bool, nvidia: Path = NVIDIA) -> Runtime:
    """NVIDIA's where the plan has a card and its backend is installed, else the embedded one.

    A plan with a card on the embedded runtime is a rehearsal: the same configuration, loaded in the
    same order, on our own backend and without a GPU. Whoever starts it should say so.
    """
    return "nvidia" if has_card and (nvidia / _BACKEND).is_file() else "embedded"
