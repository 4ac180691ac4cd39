"""The verb measure: figures of this card for the ledger, as far as they need no TensorRT-LLM.

Each section is measured by itself, so that one which fails costs no other. All of it ends within
six minutes, for a machine that is lent for minutes: what most is counted with comes first, and what
there is no time for is left out.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from build_scripts import arguments as dial
from build_scripts import gpus as nvml
from build_scripts import paths
from build_scripts.console import MIB, say
from build_scripts.errors import BuildError, MachineError
from build_scripts.gpus import Gpu
from build_scripts.measure import interpreter, triton
from build_scripts.plans import match, plan

SUBJECTS = ("align", "diarize", "kv")  # torch's, each in a process of its own
TRITON = "triton"
SPEECH = ("parity", "whisper")  # of real speech: whether a card says the same, and how fast
SECTIONS = (*SUBJECTS, TRITON, *SPEECH)
REFERENCE = "rtx3090"  # whose batches and pools are measured where no plan has this card
LIMIT_S = 70.0  # of one section
WITHIN_S = 350.0  # of all of them
LEAST_S = 5.0  # with less left a section is not begun
_PACKAGES = {"pyannote": "pyannote.audio"}  # of modules that have another name

Section = dict[str, Any]
Run = Callable[[str], Section]


def main(
    arguments: Sequence[str],
    environment: Mapping[str, str] = os.environ,
    read: Callable[[], list[Gpu]] = nvml.gpus,
) -> int:
    """Measure, print, and on a card write the file. Returns 1 where a section failed.

    Raises MachineError where there is no card, or no torch that can use it.
    """
    asked = _parse(arguments, environment)
    dial.refuse("measure", "it measures the card that is there", environment)
    if asked.device == "cpu":
        return _try_the_code(asked, environment)
    gpu = _card(read)
    # Several GPUs: everybody is to see the one that is described.
    seen = {**environment, "CUDA_VISIBLE_DEVICES": gpu.uuid}
    python = sys.executable
    if set(asked.sections) != {TRITON}:
        python = interpreter.find(seen)
    chosen = _plan(asked.plan, [gpu])
    _verify_writable(asked.out)
    say(f"measuring {gpu.name}, driver {gpu.driver}, with the batches of plan {chosen} ({python})")
    end_s = time.monotonic() + asked.within

    def run(name: str) -> Section:
        limit_s = _left(end_s, asked)
        if name == TRITON:
            one = triton.runtime()
            return {"figures": triton.figures(lambda: _same(read, gpu), one)}
        return subject(name, "cuda", chosen, seen, python, limit_s)

    found, failed = sections(asked.sections, run)
    if not found:
        raise BuildError("nothing could be measured, and nothing was written; why is said above")
    path = write(document(gpu, chosen, found, failed), asked.out)
    _show(json.loads(path.read_text(encoding="utf-8"))["figures"])
    _show_facts(found)
    say(f"{path}: `make plan` counts with it from now on; commit it so that others do")
    return _verdict(failed)


def _try_the_code(asked: argparse.Namespace, environment: Mapping[str, str]) -> int:
    chosen = _plan(asked.plan, [])
    names = [name for name in asked.sections if name != TRITON]
    end_s = time.monotonic() + asked.within
    found, failed = sections(
        names,
        lambda name: subject(name, "cpu", chosen, environment, sys.executable, _left(end_s, asked)),
    )
    _show(_figures(found.values()))
    _show_facts(found)
    say("this tried the code with small networks on the CPU: nothing was measured, no card is "
        "described by it, no file was written")  # fmt: skip
    return _verdict(failed)


def _left(end_s: float, asked: argparse.Namespace) -> float:
    """Seconds for the next section. Raises BuildError where there are too few."""
    left_s = end_s - time.monotonic()
    if left_s < LEAST_S:
        raise BuildError(f"the {asked.within:.0f} s for all are over; --within gives them longer")
    return float(min(asked.limit, left_s))


def _verdict(failed: Mapping[str, str]) -> int:
    if failed:
        names = ",".join(failed)
        say(f"failed: {names}; why is said above. Again, for these alone: "
            f'`make measure ARGS="--sections {names}"`')  # fmt: skip
    return int(bool(failed))


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
        description="What contexts, torch models, caches and Triton's pools take of this card, for "
        "the ledger. Exit status 1: a section failed, the others were written; 3: there is no card "
        "that torch can use.",
    )
    chosen = environment.get("PLAN") or match.AUTO
    parser.add_argument("--plan", default=chosen, help="whose batches, default auto; or PLAN=")
    parser.add_argument(
        "--sections", type=_sections, default=SECTIONS, metavar="NAME,...",
        help=f"some of {','.join(SECTIONS)}; what an earlier run has of the others stays",
    )  # fmt: skip
    parser.add_argument(
        "--limit", type=float, default=LIMIT_S, metavar="SECONDS",
        help=f"of one section of torch's, default {LIMIT_S:.0f}",
    )  # fmt: skip
    parser.add_argument(
        "--within", type=float, default=WITHIN_S, metavar="SECONDS",
        help=f"of all sections together, default {WITHIN_S:.0f}",
    )  # fmt: skip
    parser.add_argument(
        "--device", choices=("cuda", "cpu"), default="cuda",
        help="cpu: try the code with small networks; measures nothing and writes nothing",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=paths.MEASURED, help="the directory")
    return parser.parse_args(arguments)


def _sections(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(one.strip() for one in text.split(",")))
    unknown = [one for one in names if one not in SECTIONS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"`{unknown[0]}` is no section, wanted some of {','.join(SECTIONS)}"
        )
    return names


def _card(read: Callable[[], list[Gpu]]) -> Gpu:
    found = read()
    if not found:
        raise MachineError(
            f"no GPU was found ({nvml.problem() or 'CUDA_VISIBLE_DEVICES leaves none'}), wanted "
            "one with NVIDIA's driver and a CUDA build of torch; run it on the machine with the "
            "card, `make doctor` says what is missing there"
        )
    return match.largest(found)


def _plan(name: str, gpus: Sequence[Gpu]) -> str:
    """The plan whose sizes are measured: what is asked for, this card's, or the reference; the
    first of them that has a card."""
    fitting = match.choose(gpus, [plan.load(one) for one in plan.names()]).plan
    wanted = [fitting] if name == match.AUTO else [name, fitting]
    return next((one for one in wanted if plan.load(one).card is not None), REFERENCE)


def sections(names: Sequence[str], run: Run) -> tuple[dict[str, Section], dict[str, str]]:
    """What each of them measured, and why the others did not; said as they end."""
    found: dict[str, Section] = {}
    failed: dict[str, str] = {}
    for name in names:
        started_s = time.monotonic()
        try:
            result = run(name)
            problem = result.get("error", "")
            if result["figures"] or result.get("facts") or result.get("sweeps"):
                found[name] = result
        except Exception as error:  # whatever one of them does, the rest is worth having
            problem = str(error) or repr(error)
        if problem:
            failed[name] = problem
        how = f"FAILED, the rest goes on: {problem}" if problem else "measured"
        say(f"{name}: {how} ({time.monotonic() - started_s:.0f} s)")
    return found, failed


def subject(
    name: str,
    device: str,
    chosen: str,
    environment: Mapping[str, str] = os.environ,
    python: str = sys.executable,
    limit_s: float = LIMIT_S,
) -> Section:
    """One subject, in a process of its own: its context and its peak are nobody else's.

    Raises MachineError where torch has no such device, BuildError where it fails otherwise.
    """
    module = f"build_scripts.measure.{'speech' if name in SPEECH else 'networks'}"
    try:
        done = subprocess.run(
            [python, "-m", module, name, "--device", device, "--plan", chosen],
            cwd=paths.ROOT, env=dict(environment), stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=limit_s, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise BuildError(f"it took more than {limit_s:.0f} s; --limit gives it longer") from None
    if done.returncode == 0:
        result: Section = json.loads(done.stdout.splitlines()[-1])
        return {**result, "error": _with_cure(result["error"], python)}
    said = "\n  ".join(done.stderr.splitlines()[-5:]) or "it said nothing"
    if done.returncode == MachineError.exit_code:
        raise MachineError(said)
    said = _with_cure(said, python)
    raise BuildError(f"measuring `{name}` ended with status {done.returncode}:\n  {said}")


def _with_cure(error: str, python: str) -> str:
    lacking = re.search(r"No module named '(\w+)", error)
    if lacking is None:
        return error
    package = _PACKAGES.get(lacking[1], lacking[1])
    return f"{error}: `{python} -m pip install {package}` brings it"


def document(
    gpu: Gpu, chosen: str, sections: Mapping[str, Section], failed: Mapping[str, str]
) -> dict[str, Any]:
    """What is written of one card."""
    figures = _figures(sections.values())
    contexts = [one["outside_bytes"] for one in sections.values() if one.get("outside_bytes")]
    if contexts:
        how = "by NVML beside torch's tensors, after alignment, diarization and caches; the largest"
        figures["cuda_context"] = {"bytes": max(contexts), "how": how}
    torch: Section = next((one for one in sections.values() if "torch" in one), {})
    return {
        "gpu": gpu.name,
        "driver": gpu.driver,
        "cuda": torch.get("cuda", ""),
        "torch": torch.get("torch", ""),
        "date": datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat(),
        "plan": chosen,
        "sections": list(sections),
        "failed": dict(failed),
        "figures": figures,
        "facts": {name: one["facts"] for name, one in sections.items() if one.get("facts")},
        "sweeps": [
            {"section": name, **row}
            for name, section in sections.items()
            for row in section.get("sweeps", ())
        ],
    }


def write(document: Mapping[str, Any], folder: Path) -> Path:
    """`<gpu>.json`; a card has one, the last that was measured. What an earlier run under the same
    driver has of other sections stays in it."""
    slug = re.sub(r"[^a-z0-9]+", "-", str(document["gpu"]).lower()).strip("-")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{slug}.json"
    merged = {**document, **_kept(document, path)}
    path.write_text(json.dumps(merged, indent=2) + "\n", encoding="utf-8")
    return path


def _kept(document: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The fields of `document` that an earlier file adds to."""
    try:
        old = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if any(old.get(key) != document[key] for key in ("gpu", "driver", "plan")):
        return {}
    new = document["sections"]
    if not {"sections", "failed", "figures", "sweeps"} <= old.keys():
        return {}
    return {
        "cuda": document["cuda"] or old["cuda"],
        "torch": document["torch"] or old["torch"],
        "sections": [*new, *(one for one in old["sections"] if one not in new)],
        "failed": {
            **{name: why for name, why in old["failed"].items() if name not in new},
            **document["failed"],
        },
        "figures": {**old["figures"], **document["figures"]},
        "facts": {**old.get("facts", {}), **document["facts"]},
        "sweeps": [
            *document["sweeps"], *(row for row in old["sweeps"] if row["section"] not in new)
        ],
    }  # fmt: skip


def _figures(sections: Any) -> dict[str, dict[str, Any]]:
    return {name: figure for one in sections for name, figure in one["figures"].items()}


def _same(read: Callable[[], list[Gpu]], gpu: Gpu) -> Gpu:
    return next(one for one in read() if one.uuid == gpu.uuid)


def _show_facts(sections: Mapping[str, Section]) -> None:
    """Parity, and the rows of what was timed; those of memory are in the file."""
    for section in sections.values():
        for name, facts in section.get("facts", {}).items():
            say(f"{name:32}" + ", ".join(f"{key} {value}" for key, value in facts.items()))
        for row in section.get("sweeps", ()):
            if "took_s" in row:
                seconds = row["seconds"] * row["batch"]
                say(f"{row['what']}, batch {row['batch']}: {seconds} s in {row['took_s']} s")


def _show(figures: Mapping[str, Mapping[str, Any]]) -> None:
    for name, figure in figures.items():
        say(f"{name:32}{figure['bytes'] / MIB:10.1f} MiB  {figure['how']}")
