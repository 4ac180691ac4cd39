"""Watches that a server takes of its card what its ledger says, from before it loads on.

NVML names processes by the host's pid, also in a container (NVIDIA/nvidia-docker, issue 1483), so a
process is recognised by when it came up: what is new, or has grown, is of the model just loaded.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Protocol

from build_scripts import gpus
from build_scripts.console import GIB
from build_scripts.errors import ServerError
from build_scripts.gpus import Gpu, GpuProcess
from build_scripts.memory.deployment import Deployment
from build_scripts.memory.ledger import Ledger
from build_scripts.plans import match
from build_scripts.plans.schema import Plan
from build_scripts.plans.topology import llm_process, load_order, whisper_process
from build_scripts.server.launch import Launch
from build_scripts.server.monitoring import vram_report
from build_scripts.server.monitoring.vram_report import RESERVES, Row, Table, gib

# A driver takes a moment to take back what a process held that has just ended.
SETTLE_S = 10.0
_POLL_S = 0.5


class Watch(Protocol):
    """Watches the GPU's memory while a server loads its models."""

    def before(self) -> None:
        """Before anything is loaded. Raises PlanError or ServerError."""

    def on_loaded(self, model: str) -> None:
        """After each model. Raises ServerError."""

    def verify(self) -> Table | None:
        """When everything is loaded. Raises ServerError."""

    def gauges(self) -> str:
        """What is held now, as Prometheus reads it; empty without a GPU."""


class NoWatch:
    """The watch of a server without a GPU: it never objects."""

    def before(self) -> None:
        pass

    def on_loaded(self, model: str) -> None:
        pass

    def verify(self) -> Table | None:
        return None

    def gauges(self) -> str:
        return ""


def watch(
    deployment: Deployment,
    launch: Launch,
    say: Callable[[str], None],
    read: Callable[[], list[Gpu]] = gpus.gpus,
) -> Watch:
    """The watch of one server, which serves its part of a plan.

    Args:
        read: the GPUs as NVML reports them.
    """
    if deployment.ledger is None or launch.runtime != "nvidia":
        return NoWatch()
    if not read():
        say("warning: NVML shows no GPU, so nobody watches that the ledger is kept; `doctor`")
        return NoWatch()
    return VramWatch(deployment.plan, deployment.ledger, launch, say, read)


class VramWatch:
    """Compares the ledger with the GPU: `before`, `on_loaded` for each model, then `verify`.

    It begins again with `before` for the next Triton.
    """

    def __init__(
        self,
        plan: Plan,
        ledger: Ledger,
        launch: Launch,
        say: Callable[[str], None],
        read: Callable[[], list[Gpu]],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._say, self._read, self._sleep = say, read, sleep
        self._ledger = ledger
        # Of those on demand the ledger has one, which comes later or never.
        engines = {*load_order(plan), *(line.engine for line in ledger.lines if line.engine)}
        self._engines = {engine: ledger.engine_bytes(engine) for engine in engines}
        self._homes = {
            **{whisper.engine: whisper_process(plan) for whisper in plan.whispers},
            "llm": llm_process(plan), "align": "align", "diarize": "diarize",
        }  # fmt: skip
        self._server = _server(self._homes, launch)
        elsewhere = () if launch.models is None else set(self._homes) - set(launch.models)
        absent = {self._homes[model] for model in elsewhere}
        sizes = ledger.by_process()
        # This server's processes, and those of the other one.
        self._planned = {name: size for name, size in sizes.items() if name not in absent}
        self._absent = {name: size for name, size in sizes.items() if name in absent}
        self._forget(None)

    def _forget(self, gpu: Gpu | None) -> None:
        """Begin again; `gpu` is what was there before this server."""
        self._first = self._last = gpu
        self._owners: dict[int, str] = {}  # pid -> process of the ledger
        self._guessed: dict[str, int] = {}  # process -> bytes that no process is named for
        self._loaded: set[str] = set()

    def before(self) -> None:
        """Check that what the ledger counts is free; warn if only the headroom is not.

        Raises:
            PlanError: the card could not hold it even if nobody else used it.
            ServerError: others hold what is missing.
        """
        needed = sum(self._own().values())
        gpu = self._settled(needed)
        self._forget(gpu)
        if gpu.free_bytes < needed:
            raise vram_report.too_little(self._ledger, gpu, needed)
        missing = needed + int(self._ledger.headroom_gib * GIB) - gpu.free_bytes
        if missing > 0:
            self._say(
                f"warning: {gib(missing)} of {self._ledger.headroom_gib:g} GiB of headroom are "
                f"taken by {vram_report.holders(gpu)}: it fits, but not what the headroom is for"
            )

    def on_loaded(self, model: str) -> None:
        """Check the share of `model`. Raises ServerError if it took that and the headroom."""
        gpu = self._gpu()
        home = self._homes.get(model, model)
        self._loaded.add(model)
        self._attribute(gpu, home)
        due = self._due(home)
        over = self._measured(gpu).get(home, 0) - due
        if over <= 0:
            return
        headroom = self._ledger.headroom_gib
        what = (
            f"after model `{model}` was loaded `{home}` holds {gib(due + over)} of `{gpu.name}`, "
            f"the ledger has {gib(due)} for it"
        )
        if over > headroom * GIB:
            cure = vram_report.cure(home, self._ledger.vram_gib - over / GIB)
            raise ServerError(f"{what} and {headroom:g} GiB of headroom: {cure}")
        self._say(f"warning: {what}; refused at the end if the sum is too much as well")

    def verify(self) -> Table:
        """Compare planned and measured bytes of each process.

        Raises ServerError if the sum of the larger of both goes beyond what the plan has, or if
        what is still to come is more than what is free.
        """
        gpu = self._gpu()
        self._attribute(gpu, None)
        table = Table(self._rows(gpu), self._ledger.vram_gib, self._ledger.headroom_gib)
        if table.counted_bytes > table.budget_bytes:
            raise vram_report.over_budget(table)
        if table.to_come_bytes > gpu.free_bytes:
            raise vram_report.nothing_left(table, gpu, self._owners)
        return table

    def gauges(self) -> str:
        """Planned and used bytes of each process. Raises ServerError where the GPU is gone.

        What came up since everything was loaded, such as a model that was loaded again, counts as
        `new`: nothing says whose it is.
        """
        gpu = self._gpu()
        rows = list(self._rows(gpu))
        assert self._first is not None
        known = {process.pid for process in self._first.processes} | set(self._owners)
        fresh = sum(process.bytes for process in gpu.processes if process.pid not in known)
        return vram_report.gauges([*rows, Row("new", 0, fresh)] if fresh else rows)

    def _own(self) -> dict[str, int]:
        """Bytes of each process that this server will start; the driver's part is gone before."""
        return {name: size for name, size in self._planned.items() if name not in RESERVES}

    def _due(self, process: str) -> int:
        """Bytes that the ledger has for a process with the models that are loaded by now."""
        waiting = (
            self._engines[name]
            for name in self._engines
            if self._homes[name] == process and name not in self._loaded
        )
        return self._planned.get(process, 0) - sum(waiting)

    def _attribute(self, gpu: Gpu, home: str | None) -> None:
        """Give every new process of the GPU to `home`, or to the server that started it.

        Args:
            home: None if no model was loaded since the last time.
        """
        first, last = self._first, self._last
        assert first is not None, "before() comes first"
        assert last is not None
        foreign = {process.pid for process in first.processes}
        known = foreign | set(self._owners)
        fresh = [
            process for process in gpu.processes if process.pid not in known
        ]  # the largest first
        for at, process in enumerate(fresh):
            self._owners[process.pid] = self._owner(process, at, home)
        ours = [process for process in gpu.processes if process.pid in self._owners]
        if home is not None and not any(process.bytes for process in ours):
            # Windows' driver model and some containers say nothing: the card itself has grown.
            grown = max(0, gpu.used_bytes - last.used_bytes)
            if not self._guessed and home != self._server:  # the server's own context came with it
                context = min(grown, self._planned.get(self._server, 0))
                self._guessed[self._server] = context
                grown -= context
            self._guessed[home] = self._guessed.get(home, 0) + grown
        self._last = gpu

    def _owner(self, process: GpuProcess, at: int, home: str | None) -> str:
        """The ledger's process of process of the GPU's.

        It is known by its program if the driver reports it; else the largest is the model's own.
        """
        if home not in self._planned and self._server not in self._owners.values():
            return self._server  # its context may come up late
        words = process.name.split()
        program = PurePosixPath(words[0]).name if words else ""
        if program.startswith("tritonserver"):
            return self._server
        if program.startswith("triton_python_backend_stub") or at == 0:
            return home or f"pid {process.pid}"
        return self._server

    def _measured(self, gpu: Gpu) -> dict[str, int]:
        if not any(process.bytes for process in gpu.processes if process.pid in self._owners):
            return dict(self._guessed)
        found: dict[str, int] = {}
        for process in gpu.processes:
            if process.pid in self._owners:
                owner = self._owners[process.pid]
                found[owner] = found.get(owner, 0) + process.bytes
        return found

    def _rows(self, gpu: Gpu) -> tuple[Row, ...]:
        measured = self._measured(gpu)
        assert self._first is not None
        reserve = max(
            0, self._first.used_bytes - sum(process.bytes for process in self._first.processes)
        )
        rows = [
            Row(name, size, reserve if name in RESERVES else measured.pop(name, 0))
            for name, size in self._planned.items()
        ]
        rows += [Row(name, size, None) for name, size in self._absent.items()]
        return (*rows, *(Row(name, 0, size) for name, size in measured.items()))

    def _settled(self, needed: int) -> Gpu:
        gpu = self._gpu()
        for _ in range(int(SETTLE_S / _POLL_S)):
            if gpu.free_bytes >= needed or needed > gpu.total_bytes:
                break
            self._sleep(_POLL_S)
            gpu = self._gpu()
        return gpu

    def _gpu(self) -> Gpu:
        found = self._read()
        if not found:
            raise ServerError(
                "NVML shows no GPU any more, it did before: the driver was replaced or has "
                "failed; `dmesg | grep -i xid`, then restart the machine or its container"
            )
        return match.largest(found)


def _server(homes: dict[str, str], launch: Launch) -> str:
    """The ledger's name of this tritonserver."""
    return homes["whisper" if launch.part == "speech" else "llm"]
