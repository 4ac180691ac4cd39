"""`python -m bench NAME ...`: measure, print a table, write bench/results/<date>.json.

It knows which benchmarks there are and the machine that they run on; each starts what it needs.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import os
import platform
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
BENCHMARKS = {
    "chat_speed": "tokens a second and first token: `chat` over gRPC, the engine called directly",
    "together": "a transcription beside a triage, and the triage beside transcriptions",
    "triage_quality": "category and priority of 60 labelled mails",
}


def main() -> None:
    epilog = "\n".join(f"  {name:16}{what}" for name, what in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure side by side, in one run.", epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("names", nargs="*", metavar="NAME", help="all of them if none is named")
    names = parser.parse_args().names or list(BENCHMARKS)
    for name in names:
        if name not in BENCHMARKS:
            parser.error(f"no benchmark `{name}`; there are: {', '.join(BENCHMARKS)}")
    found: dict[str, Any] = {"machine": machine()}
    print("machine: " + ", ".join(f"{key} {value}" for key, value in found["machine"].items()))
    for name in names:
        print(f"\n{name}: {BENCHMARKS[name]}", flush=True)
        found[name] = importlib.import_module(f"bench.{name}").measure()
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{datetime.datetime.now(tz=datetime.timezone.utc):%Y-%m-%dT%H%M%S}.json"
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(f"\nwrote {path.relative_to(Path.cwd())}")


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    main()
