"""Changed inputs of every kind against whoever reads them; findings are kept, and counted.

    python -m tests.fuzz --inputs 20000 --seed 1 --only audio mail

Input N of a seed is always the same. With GRPC_PORT, a server there is asked as well (`server`).
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path

from tests.fuzz import server
from tests.fuzz.children import HANG_S, Child, Outcome
from tests.fuzz.targets import KINDS, Kind

FINDINGS = ("internal", "crash", "hang", "memory")
SHOWN_EACH = 500
SLOW_S = 10.0  # no finding, and worth a look


def run(name: str, kind: Kind, num_inputs: int, seed: int, folder: Path) -> Counter[str]:
    """Counts of outcomes by their kind; what is a finding lies in `folder`."""
    seeds = kind.seeds()
    counts: Counter[str] = Counter()
    slowest = 0.0
    started_s = time.monotonic()
    with Child(kind.make) as child:
        for index in range(num_inputs):
            data = kind.input(seeds, random.Random(f"{seed}/{name}/{index}"))
            outcome = child.run(data)
            counts[outcome.kind] += 1
            slowest = max(slowest, outcome.seconds)
            if outcome.cpu_s > SLOW_S:
                keep(folder, f"{name}-{seed}-{index}-slow", data, outcome)
            if outcome.is_finding:
                keep(folder, f"{name}-{seed}-{index}-{outcome.kind}", data, outcome)
            if (index + 1) % SHOWN_EACH == 0 or index + 1 == num_inputs:
                line = summary(name, counts, slowest, time.monotonic() - started_s)
                print(line, file=sys.stderr, flush=True)
    print(summary(name, counts, slowest, time.monotonic() - started_s), flush=True)
    return counts


def summary(name: str, counts: Counter[str], slowest_s: float, taken_s: float) -> str:
    found = ", ".join(f"{kind} {counts[kind]}" for kind in FINDINGS)
    return (
        f"{name}: {counts.total()} inputs in {taken_s:.0f} s: ok {counts['ok']}, refused "
        f"{counts['refused']}, {found}; slowest {slowest_s:.1f} s (bound {HANG_S:g} s)"
    )


def keep(folder: Path, name: str, data: bytes, outcome: Outcome) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    (folder / f"{name}.txt").write_text(f"{outcome}\n{outcome.told}\n")
    print(
        f"  found: {folder / name}: {outcome.seconds:.1f} s, {outcome.told.splitlines()[-1][:150]}",
        flush=True,
    )


def main() -> int:
    kinds = dict(KINDS)
    if port := os.environ.get("GRPC_PORT"):
        kinds["server"] = server.kind(f"127.0.0.1:{port}")
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=20_000, help="in all, shared by the kinds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=sorted(kinds), default=sorted(kinds))
    parser.add_argument(
        "--folder", type=Path, default=Path(".fuzz"), help="where findings are kept"
    )
    asked = parser.parse_args()
    total: Counter[str] = Counter()
    for name in asked.only:
        num_inputs = -(-asked.inputs // len(asked.only))
        total += run(name, kinds[name], num_inputs, asked.seed, asked.folder)
    num_findings = sum(total[kind] for kind in FINDINGS)
    print(f"fuzz: {total.total()} inputs, {num_findings} findings", flush=True)
    return 1 if num_findings else 0


if __name__ == "__main__":
    sys.exit(main())
