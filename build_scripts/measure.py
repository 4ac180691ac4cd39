"""The verb measure: figures of this card for the ledger, as far as they need no TensorRT-LLM.

It knows which figures there are, that each subject is measured in a process of its own, and the
file in docs/measured/ that `ledger_lines` reads; how they are measured is `measure_models`'.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from build_scripts import cards, dial, layout, measure_triton, nvml, plan
from build_scripts.errors import BuildError, MachineError
from build_scripts.ledger_lines import MEASURED, MIB
from build_scripts.nvml import Gpu
from build_scripts.progress import say

SUBJECTS = ("align", "diarize", "kv")
REFERENCE = "rtx3090"  # whose batches and pools are measured where no plan has this card
_LIMIT_S = 1200.0

Run = Callable[[str, str, str, Mapping[str, str]], dict[str, Any]]


def main(
    arguments: Sequence[str],
    environment: Mapping[str, str] = os.environ,
    read: Callable[[], list[Gpu]] = nvml.gpus,
) -> int:
    """Measure, print, and on a card write the file. Raises MachineError where there is no card."""
    asked = _parse(arguments, environment)
    dial.refuse("measure", "it measures the card that is there", environment)
    if asked.device == "cpu":
        found = [subject(name, "cpu", _plan(asked.plan, []), environment) for name in SUBJECTS]
        _show(_figures(found))
        say("this tried the code with small networks on the CPU: nothing was measured, no card "
            "is described by it, no file was written")  # fmt: skip
        return 0
    gpu = _card(read)
    chosen = _plan(asked.plan, [gpu])
    _verify_writable(asked.out)
    say(f"measuring {gpu.name}, driver {gpu.driver}, with the batches of plan {chosen}")
    document = measured(gpu, chosen, environment, read)
    path = write(document, asked.out)
    _show(document["figures"])
    say(f"{path}: `make plan` counts with it from now on; commit it so that others do")
    return 0


def _verify_writable(folder: Path) -> None:
    """Before minutes of measuring. Raises MachineError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise MachineError(
            f"`{folder}` cannot be written ({error.strerror}): make it writable, or name another "
            "directory with --out"
        ) from None


def _parse(arguments: Sequence[str], environment: Mapping[str, str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m build_scripts measure",
        description="What contexts, torch models and caches take of this card, for the ledger. "
        "Exit status 3: there is no card that torch can use.",
    )
    chosen = environment.get("PLAN") or cards.AUTO
    parser.add_argument("--plan", default=chosen, help="whose batches, default auto; or PLAN=")
    parser.add_argument(
        "--device", choices=("cuda", "cpu"), default="cuda",
        help="cpu: try the code with small networks; measures nothing and writes nothing",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=layout.ROOT / MEASURED, help="the directory")
    return parser.parse_args(arguments)


def _card(read: Callable[[], list[Gpu]]) -> Gpu:
    found = read()
    if not found:
        raise MachineError(
            f"no GPU was found ({nvml.problem() or 'CUDA_VISIBLE_DEVICES leaves none'}), wanted "
            "one with NVIDIA's driver and a CUDA build of torch; run it on the machine with the "
            "card, `make doctor` says what is missing there"
        )
    return cards.largest(found)


def _plan(name: str, gpus: Sequence[Gpu]) -> str:
    """The plan whose sizes are measured: what is asked for, this card's, or the reference; the
    first of them that has a card."""
    fitting = cards.choose(gpus, [plan.load(one) for one in plan.names()]).plan
    wanted = [fitting] if name == cards.AUTO else [name, fitting]
    return next((one for one in wanted if plan.load(one).card is not None), REFERENCE)


def subject(
    name: str, device: str, chosen: str, environment: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """One subject, in a process of its own: its context and its peak are nobody else's.

    Raises MachineError where torch has no such device, BuildError where it fails otherwise.
    """
    module = "build_scripts.measure_models"
    done = subprocess.run(
        [sys.executable, "-m", module, name, "--device", device, "--plan", chosen],
        cwd=layout.ROOT, env=dict(environment), stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=_LIMIT_S, check=False,
    )  # fmt: skip
    if done.returncode == 0:
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result
    said = "\n  ".join(done.stderr.splitlines()[-5:]) or "it said nothing"
    if done.returncode == MachineError.exit_code:
        raise MachineError(said)
    raise BuildError(f"measuring `{name}` ended with status {done.returncode}:\n  {said}")


def measured(
    gpu: Gpu,
    chosen: str,
    environment: Mapping[str, str],
    read: Callable[[], list[Gpu]],
    run: Run = subject,
) -> dict[str, Any]:
    """The document of one card. Raises MachineError or BuildError."""
    # Several GPUs: everybody is to see the one that is described.
    seen = {**environment, "CUDA_VISIBLE_DEVICES": gpu.uuid}
    found = [run(name, "cuda", chosen, seen) for name in SUBJECTS]
    figures = _figures(found)
    contexts = [one["outside_bytes"] for one in found if one["outside_bytes"] is not None]
    if contexts:
        how = "by NVML beside torch's tensors, after alignment, diarization and caches; the largest"
        figures["cuda_context"] = {"bytes": max(contexts), "how": how}
    triton = measure_triton.context_bytes(lambda: _same(read, gpu), _free_port())
    if triton is not None:
        how = "by NVML, tritonserver without models and pools"
        figures["triton_context"] = {"bytes": triton, "how": how}
    return {
        "gpu": gpu.name,
        "driver": gpu.driver,
        "cuda": found[0]["cuda"],
        "torch": found[0]["torch"],
        "date": datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat(),
        "plan": chosen,
        "figures": figures,
        "sweeps": [row for one in found for row in one["sweeps"]],
    }


def write(document: Mapping[str, Any], folder: Path) -> Path:
    """`<gpu>.json`; a card has one, the last that was measured."""
    slug = re.sub(r"[^a-z0-9]+", "-", str(document["gpu"]).lower()).strip("-")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{slug}.json"
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return path


def _figures(found: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: figure for one in found for name, figure in one["figures"].items()}


def _same(read: Callable[[], list[Gpu]], gpu: Gpu) -> Gpu:
    return next(one for one in read() if one.uuid == gpu.uuid)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _show(figures: Mapping[str, Mapping[str, Any]]) -> None:
    for name, figure in figures.items():
        say(f"{name:32}{figure['bytes'] / MIB:10.1f} MiB  {figure['how']}")
