"""From a fresh checkout to everything that serving and testing need: the verbs setup and
samples.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence

from build_scripts import child_process, paths
from build_scripts.bootstrap import requirements, samples, triton, venv
from build_scripts.bootstrap.lock import alone
from build_scripts.console import Steps
from build_scripts.errors import BuildError, InstallError

CONVERSATION = "conversation"  # the one set of recordings that the demo plays


def main(verb: str, arguments: Sequence[str]) -> None:
    """Run `setup` or `samples`. Raises BuildError."""
    argparse.ArgumentParser(prog=f"python -m build_scripts {verb}").parse_args(arguments)
    with alone():
        if verb == "setup":
            setup()
        else:
            bring_samples()


def setup() -> None:
    """Every step in order; a second run finds everything there. Raises BuildError."""
    steps = Steps("setup", 5)
    steps.begin("machine")
    found = venv.version()
    version = found if found in requirements.PYTHONS else sys.version_info[:2]
    fresh = not (paths.RUNTIME / "manifest.json").is_file()
    steps.done(requirements.check(version, venv.libdir(), fresh))
    steps.begin("environment (.venv)")
    venv.build(steps.done)
    python = venv.version()
    if python is None:
        raise InstallError(f"`{paths.PYTHON}` does not run: remove `{paths.VENV}`, run it again")
    steps.done(f"Python {python[0]}.{python[1]} with the packages of {paths.LOCK.name}")
    steps.begin("Triton (.triton)")
    made = triton.assemble(python)
    steps.done(f"tritonserver {'fetched and verified' if made else 'verified'}")
    steps.begin("models (engines/cpu)")
    make_engines()
    steps.begin("conversation (.samples)")
    samples.build_all(steps.done, (CONVERSATION,))
    shutil.rmtree(paths.DOWNLOADS, ignore_errors=True)
    steps.end("everything is there")


def make_engines() -> None:
    """The engines of the default plan, whose file only the environment can read. Raises BuildError.

    Python 3.10, in which this may run, has no TOML reader; and the models are converted with what
    is installed there.
    """
    ran = subprocess.run(
        [str(paths.PYTHON), "-m", "build_scripts.engines.build"],
        cwd=paths.ROOT,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        preexec_fn=child_process.end_with_parent,
    )
    if ran.returncode != 0:
        error = BuildError(ran.stderr.strip())
        error.exit_code = ran.returncode
        raise error


def bring_samples() -> None:
    """The recordings that the tests use. Raises BuildError."""
    if venv.version() is None:
        raise InstallError("there is no environment yet: run `make setup`")
    steps = Steps("samples", 1)
    steps.begin("recordings with references (.samples)")
    samples.build_all(steps.done)
    shutil.rmtree(paths.DOWNLOADS, ignore_errors=True)
    steps.end("everything is there")
