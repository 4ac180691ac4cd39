"""Which interpreter measures: the first on this machine whose torch can use the card."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence

from build_scripts import paths
from build_scripts.errors import MachineError

_ASK = """
import json
try:
    import torch
except Exception as error:
    print(json.dumps({"problem": f"no torch ({error})"}))
else:
    about = f"torch {torch.__version__}"
    if torch.version.cuda is None:
        print(json.dumps({"problem": about + ", built without CUDA"}))
    else:
        try:
            torch.ones(1, device="cuda").item()
            import pydantic  # what it measures reads plans
            print(json.dumps({"problem": ""}))
        except Exception as error:
            print(json.dumps({"problem": f"{about}: {str(error).splitlines()[0]}"}))
"""
_ASK_S = 90.0  # torch from a cold disk


def find(environment: Mapping[str, str], candidates: Sequence[str] | None = None) -> str:
    """Its path. Raises MachineError that names what was found in each, and what to install."""
    problems = {}
    for python in known() if candidates is None else candidates:
        problems[python] = _problem(python, environment)
        if not problems[python]:
            return python
    found = "".join(f"\n  {python}: {problem}" for python, problem in problems.items())
    raise MachineError(f"no interpreter here has a torch that can use the card:{found}\n{_cure()}")


def known() -> list[str]:
    """This one, the environment's, and `python3`."""
    environments = str(paths.PYTHON) if paths.PYTHON.exists() else None
    found = (sys.executable, environments, shutil.which("python3"))
    return list(dict.fromkeys(one for one in found if one))


def _problem(python: str, environment: Mapping[str, str]) -> str:
    try:
        ran = subprocess.run(
            [python, "-c", _ASK], env=dict(environment), capture_output=True, text=True,
            timeout=_ASK_S, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        return str(json.loads(ran.stdout.splitlines()[-1])["problem"])
    except subprocess.TimeoutExpired:
        return f"no answer within {_ASK_S:.0f} s"
    except (OSError, ValueError, IndexError) as error:
        return f"cannot be asked ({error})"


def _cure() -> str:
    pinned = re.search(r"torch==[\d.]+", paths.PROJECT.read_text(encoding="utf-8"))
    wanted = pinned[0] if pinned else "torch"
    pip = f"{paths.VENV.name}/bin/pip"
    return (
        f"`make setup && {pip} uninstall --yes torch && {pip} install {wanted}` brings PyPI's "
        "build, which is CUDA 13's and wants driver 580 or newer; with an older one measure in the "
        "container: `docker compose -f docker/compose.yml run --rm engines measure`"
    )
