"""How Triton is started for a plan: binary, flags, environment and load order.

Sources: triton_backend/scripts/launch_triton_server.py and
triton_backend/inflight_batcher_llm/src/model_instance_state.cc of NVIDIA/TensorRT-LLM;
src/model_repository_manager/model_repository_manager.cc of triton-inference-server/core.
"""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from build_scripts import container, paths
from build_scripts.container import Runtime
from build_scripts.errors import PlanError
from build_scripts.memory.processes import POOL_BYTES
from build_scripts.plans.schema import DEFAULT_PLAN, Plan
from build_scripts.plans.topology import LOAD_ORDER, TEXT, Part, load_order
from build_scripts.server.settings import Inner, Settings
from onecard.contract import pipeline
from onecard.python_backend import traces

# Of the embedded runtime; more than there are models. Each load and unload waits for a process of
# its own, and in Triton's usual four places the slowest, which are listed late, begin late.
LOAD_THREADS = 16

# What NVIDIA's backend reads from the environment. No mpirun: the backend initialises MPI by
# itself, for a world of one.
ENVIRONMENT: Mapping[str, str] = {
    # Leader mode: the engines run in the server's own process (`schema.Serving` says why).
    "TRTLLM_ORCHESTRATOR": "0",
    # The backend configures a transceiver of KV caches for every engine (model_instance_state.cc
    # 0c8de69a: setCacheTransceiverConfig, whatever config.pbtxt says), which allocates a send and a
    # receive buffer of 512 MB each and takes them off both pools (cacheTransBuffer.cpp 012f8ad2,
    # kvCacheManager.cpp). With 0B, as upstream's cacheTransBufferTest has it, there are none. It is
    # used between servers only, that is never here; a version without it reads no such variable.
    "TRTLLM_KVCACHE_TRANSFER_BUFFER_SIZE": "0B",
    # A container's processes may not read each other's memory (open-mpi/ompi#4948).
    "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
}


# Every kind of call that Triton can restrict (server, restricted_features.h). Shared memory lets
# its caller read and write the Python backend's own (CVE-2025-23319, -23320, -23334).
APIS = (
    "health",
    "metadata",
    "inference",
    "shared-memory",
    "model-config",
    "model-repository",
    "statistics",
    "trace",
    "logging",
)


@dataclass(frozen=True)
class Launch:
    """One server."""

    runtime: Runtime
    part: Part
    binary: Path
    backend_directory: Path
    # Without their dashes; None if there is no value, several if it is said several times.
    flags: Mapping[str, str | tuple[str, ...] | None]
    environment: Mapping[str, str] = field(default_factory=dict)  # beside the inherited one
    libraries: tuple[Path, ...] = ()  # to go before LD_LIBRARY_PATH
    # Models that are loaded one after the other, each ready before the next one and all others.
    load_first: tuple[str, ...] = ()
    models: tuple[str, ...] | None = None  # all that it serves; None for the whole repository
    on_demand: tuple[str, ...] = ()  # of these, what is loaded when a request names it

    @property
    def is_ordered(self) -> bool:
        """Whether models are loaded one by one through the model-control API."""
        return bool(self.load_first)


def launch(
    plan: Plan,
    models: tuple[str, ...] = (),
    part: Part = "all",
    nvidia: Path = container.NVIDIA,
    on_demand: tuple[str, ...] = (),
) -> Launch:
    """The server that serves `part` of `plan`.

    Args:
        models: those of the repository; needed where two servers share them, or some of them are
            loaded on demand.
        on_demand: those that are.

    Raises PlanError where `part` and the plan's topology do not go together.
    """
    if container.runtime(plan.card is not None, nvidia) == "embedded":
        if part != "all":
            raise PlanError(
                f"`{part}` is asked for, but without a GPU one server serves everything"
            )
        at_start = tuple(model for model in models if model not in on_demand)
        return replace(
            _embedded(() if plan.card is None else load_order(plan), at_start if on_demand else ()),
            on_demand=on_demand,
        )
    topology = plan.serving.topology
    if (topology == "two_servers") != (part != "all"):
        wanted = "`speech` or `text`" if topology == "two_servers" else "`all`"
        raise PlanError(
            f"plan `{plan.name}` has serving.topology `{topology}`, for which the part to serve is "
            f"{wanted}; `{part}` was asked for"
        )
    served = None if part == "all" else _models_of_part(part, models)
    return Launch(
        runtime="nvidia",
        part=part,
        binary=nvidia / "bin" / "tritonserver",
        backend_directory=nvidia / "backends",
        flags=_flags(part),
        environment=dict(ENVIRONMENT),
        # LD_LIBRARY_PATH of the container stays as it is: TensorRT and the backend are on it.
        load_first=tuple(name for name in load_order(plan) if served is None or name in served),
        models=served,
        on_demand=() if part == "text" else on_demand,
    )


def _embedded(rehearsed: tuple[str, ...], at_start: tuple[str, ...]) -> Launch:
    """The Triton of setup. A rehearsal loads in the card's order, with NVIDIA's environment.

    Args:
        rehearsed: the card's engines in that order; none without a card.
        at_start: the models to load without a card; none for all of the repository.
    """
    root = paths.RUNTIME
    loading: dict[str, str | tuple[str, ...] | None] = {
        "load-model": rehearsed[0] if rehearsed else at_start or "*",
        "model-load-thread-count": "1" if rehearsed else str(LOAD_THREADS),
    }
    return Launch(
        runtime="embedded",
        part="all",
        binary=root / "bin" / "tritonserver",
        backend_directory=root / "backends",
        flags={"cache-directory": str(root / "caches"), **loading},
        environment=dict(ENVIRONMENT) if rehearsed else {},
        libraries=(root / "lib",),
        load_first=rehearsed,
    )


def _flags(part: Part) -> dict[str, str | tuple[str, ...] | None]:
    """Flags of NVIDIA's Triton beside those of every Triton."""
    first = next(name for name in LOAD_ORDER if part == "all" or (name in TEXT) == (part == "text"))
    return {
        # A pool is sized from the memory that is free at that moment, so two engines must not load
        # at the same time. Within one load Triton's order is that of addresses in memory (a set of
        # pointers): hence one model at the start and the others through the API.
        "model-load-thread-count": "1",
        "load-model": first,
        # Triton's default, stated because the ledger counts it.
        "cuda-memory-pool-byte-size": f"0:{POOL_BYTES}",
    }


def _models_of_part(part: Part, models: tuple[str, ...]) -> tuple[str, ...]:
    missing = [name for name in (*TEXT, *LOAD_ORDER) if name not in models]
    if missing:
        raise PlanError(
            f"the repository has the models `{', '.join(models)}`; two servers share them, and "
            f"`{missing[0]}` is not among them"
        )
    return tuple(name for name in models if (name in TEXT) == (part == "text"))


def triton_command(
    settings: Settings,
    secret: str,
    launch: Launch,
    inner: Inner | None = None,
    environment: Mapping[str, str] = os.environ,
) -> list[str]:
    """Triton's whole command line.

    Args:
        inner: the ports behind the door; None if Triton listens where callers know it.
        environment: says where traces go, if anywhere.
    """
    restricted = f"{','.join(APIS)}:{pipeline.OWNER_HEADER}={secret}"
    listening = inner or settings
    address = settings.address if inner is None else "127.0.0.1"
    flags: dict[str, Any] = {
        "model-repository": settings.repository,
        "backend-directory": launch.backend_directory,
        "http-address": address,
        "grpc-address": address,
        "metrics-address": address,
        "http-port": listening.http_port,
        "grpc-port": listening.grpc_port,
        "metrics-port": listening.metrics_port,
        # Explicit control is what lets the supervisor drain models in order and bring one back.
        "model-control-mode": "explicit",
        "http-restricted-api": restricted,
        "grpc-restricted-protocol": restricted,
        # Triton would not be ready while a model on demand loads, or after it did not load: where
        # there are any, the door looks at all others (`door/grpc.py`).
        "strict-readiness": "false" if launch.on_demand else "true",
        "exit-on-error": "true",
        "exit-timeout-secs": settings.drain_timeout_s,
        "disable-auto-complete-config": None,
        # Python-based backends (backends/tensorrtllm) take it from `python` as well.
        "backend-config": f"python,shm-region-prefix-name={settings.shm_prefix}",
        **launch.flags,
    }
    if settings.plan != DEFAULT_PLAN:
        flags["model-config-name"] = settings.plan
    given = [flag for key, value in flags.items() for flag in _given(key, value)]
    return [str(launch.binary), *given, *_tracing(environment)]


def _given(key: str, value: Any) -> list[str]:
    if value is None:
        return [f"--{key}"]
    values = value if isinstance(value, tuple) else (value,)
    return [f"--{key}={one}" for one in values]


def _tracing(environment: Mapping[str, str]) -> list[str]:
    """Flags for Triton's own spans, to the collector that OpenTelemetry's variables name.

    Triton sends them by OTLP over HTTP, and takes the whole URL (docs/user_guide/trace.md).
    """
    url = traces.endpoint(environment)
    if not url:
        return []
    given = (
        "mode=opentelemetry",
        "level=TIMESTAMPS",
        "rate=1",
        "count=-1",
        f"opentelemetry,url={url}",
        "opentelemetry,resource=service.name=onecard-triton",
    )
    return [f"--trace-config={value}" for value in given]


def triton_environment(launch: Launch, inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of the server and so of every model."""
    libraries = [str(path) for path in launch.libraries]
    # An interpreter built with a shared library of its own may be the only one that has it.
    libdir = sysconfig.get_config_var("LIBDIR")
    if sysconfig.get_config_var("Py_ENABLE_SHARED") and libdir:
        libraries.append(libdir)
    return {
        **inherited,
        "PATH": _joined(str(paths.VENV / "bin"), inherited.get("PATH")),
        "VIRTUAL_ENV": str(paths.VENV),
        # The formats of transcripts lie with the client, which has them too.
        "PYTHONPATH": _joined(
            inherited.get("PYTHONPATH"), str(paths.ROOT), str(paths.ROOT / "client")
        ),
        "LD_LIBRARY_PATH": _joined(*libraries, inherited.get("LD_LIBRARY_PATH")),
        "PYTHONUNBUFFERED": "1",
        "PYTHONNOUSERSITE": "1",
        # Pools that spin while they wait take the cores from each other (LSTMs: 30 to 40 times
        # slower). One thread unless a model asks for its share (onecard/python_backend/threads.py).
        "OMP_WAIT_POLICY": "PASSIVE",
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYANNOTE_METRICS_ENABLED": "0",
        "HF_HUB_OFFLINE": "1",
        **launch.environment,
    }


def _joined(*parts: str | None) -> str:
    return ":".join(part for part in parts if part)
