"""What onecard is compared with, in an environment of its own: `python -m evaluation.peers setup`.

The packages of peers.txt are in .venv-peers/, the acoustic model that both sides align with is
below .peers/. `lock` resolves peers.txt anew.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import subprocess
from collections.abc import Sequence
from pathlib import Path

from build_scripts import paths
from build_scripts.bootstrap import venv
from build_scripts.bootstrap.lock import alone
from build_scripts.console import Steps
from build_scripts.errors import InstallError
from build_scripts.fetch import pip
from evaluation.peers import acoustic

VENV = paths.ROOT / ".venv-peers"
PYTHON = VENV / "bin" / "python"
HERE = Path(__file__).parent
LOCK = HERE / "peers.txt"
ALIGN = paths.ROOT / ".peers" / "align"  # <language>/ each, as `align` and WhisperX read them
CURE = "run `python -m evaluation.peers setup`"
# Of these the peer has the server's version, or the comparison would be one of libraries.
SHARED = ("torch", "torchaudio", "ctranslate2", "faster-whisper", "pyannote.audio", "transformers")


def main(arguments: Sequence[str]) -> None:
    """Run the verb. Raises BuildError."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.peers",
        description="What onecard is measured against: WhisperX, as a library.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("setup", help="make or mend .venv-peers/ and .peers/, and verify them")
    verbs.add_parser("lock", help="resolve peers.txt anew from peers.in and peers_overrides.txt")
    if parser.parse_args(arguments).verb == "lock":
        lock()
    else:
        with alone():
            make()


def make() -> None:
    """Every step in order; a second run finds everything there. Raises BuildError."""
    steps = Steps("peers", 3)
    steps.begin(f"environment ({VENV.name})")
    venv.fill(VENV, LOCK, steps.done)
    steps.begin("the same libraries as the server's")
    steps.done(verify())
    steps.begin(f"acoustic model ({ALIGN.relative_to(paths.ROOT)}/{acoustic.LANGUAGE})")
    if not acoustic.is_there(ALIGN):
        steps.done("fitting it to the bundled recordings takes minutes")
    made = acoustic.build(ALIGN)
    steps.done("made and verified" if made else "verified")
    steps.end("everything is there")


def verify() -> str:
    """Versions of what both sides share. Raises InstallError where they differ."""
    script = (
        "import sys, importlib.metadata as m; import numpy; "
        "print(*[m.version(name) for name in sys.argv[1:]])"
    )
    names = (*SHARED, "whisperx", "numpy")
    ran = subprocess.run(
        [str(PYTHON), "-c", script, *names], capture_output=True, text=True, check=False
    )
    if ran.returncode != 0:
        said = "\n  ".join(ran.stderr.strip().splitlines()[-3:])
        raise InstallError(f"`{VENV.name}` lacks a package; remove it and {CURE}:\n  {said}")
    found = dict(zip(names, ran.stdout.split(), strict=True))
    for name in SHARED:
        wanted = importlib.metadata.version(name)
        if found[name] != wanted:
            raise InstallError(
                f"`{VENV.name}` has {name} {found[name]}, the server has {wanted}; state the same "
                f"in {HERE.name}/peers.in and run `python -m evaluation.peers lock`"
            )
    return ", ".join(f"{name} {version}" for name, version in found.items())


def is_there() -> bool:
    """Whether setup has been run to its end; what it left is not looked into."""
    return PYTHON.is_file() and acoustic.is_there(ALIGN)


def lock() -> None:
    """Write peers.txt. Raises DownloadError or InstallError."""
    pip.pip(["install", "uv"], "uv")
    command = [
        str(paths.VENV / "bin" / "uv"), "pip", "compile", str(HERE / "peers.in"), "--no-config",
        "--override", str(HERE / "peers_overrides.txt"), "--universal", "--python-version", "3.10",
        "--generate-hashes", "--upgrade", "--output-file", str(LOCK), "--quiet",
        "--custom-compile-command", "python -m evaluation.peers lock",
    ]  # fmt: skip
    if subprocess.run(command, check=False).returncode != 0:
        raise InstallError(f"`{LOCK.name}` was not written; uv's reason stands above")
