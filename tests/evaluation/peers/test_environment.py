"""What the peer's process imports of ours asks for nothing that its environment does not have."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys

from build_scripts import paths
from evaluation.peers import environment

# What `evaluation/peers/process.py` and what it imports take of the server's scripts.
OURS = "build_scripts.memory.deployment, build_scripts.model_repository.models"


def test_what_it_imports_of_the_plan_is_in_its_lock() -> None:
    script = (
        f"import sys, json; before = set(sys.modules); import {OURS}; "
        "print(json.dumps(sorted({*sys.modules} - before)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=paths.ROOT, capture_output=True, text=True, check=True
    )
    found = {name.partition(".")[0] for name in json.loads(ran.stdout)}
    of_modules = importlib.metadata.packages_distributions()
    needed = {package for module in found for package in of_modules.get(module, ())}
    locked = re.findall(r"^([\w.\-]+)==", environment.LOCK.read_text(encoding="utf-8"), re.M)
    names = {name.lower().replace("_", "-") for name in (*locked, "torch", "numpy")}
    missing = {name.lower().replace("_", "-") for name in needed} - names
    assert not missing
