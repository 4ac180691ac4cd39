"""The verb report: an archive for an issue report, of this machine and of what the server said.

Doctor, ledger, launch, versions, and logs as `redacted` lets them through: nothing that was asked
of the server, and no secret.
"""

from __future__ import annotations

import argparse
import datetime
import io
import json
import os
import platform
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from build_scripts import container, gpus
from build_scripts import paths as layout
from build_scripts.console import say
from build_scripts.errors import BuildError, InstallError
from build_scripts.plans import match, schema
from build_scripts.server import served, settings
from build_scripts.server import state as claim
from build_scripts.server.logs import redacted

NUM_LOGS, NUM_LINES, NUM_BUILD_LINES = 8, 4000, 200  # of the newest logs, and the ends of them
MAX_LOG_BYTES = 16 * 2**20
LIMIT_S = 300.0  # of one of its own verbs: doctor hashes the engines
FOLDER = "onecard-report"

_READ_ME = """What is in here, of {when}. Nothing was sent anywhere. Read it before you do.

doctor.json, packages.json, ledger.json   what the verbs doctor and plan say
launch.json, versions.json, gpu.json      how Triton is started, and on what
manifests.json                            which engines are there
log/, build/                              the servers' and the builds' logs: lines of known forms,
                                          without quoted text, messages of exceptions and secrets
"""


def main(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> None:
    """Write the archive. Raises InstallError where it cannot be written."""
    parser = argparse.ArgumentParser(
        prog="python -m build_scripts report",
        description="An archive for an issue report, without contents of requests and secrets.",
    )
    when = datetime.datetime.now(tz=datetime.timezone.utc)
    name = f"{FOLDER}-{when:%Y%m%d-%H%M%S}.tar.gz"
    chosen = environment.get("PLAN") or schema.DEFAULT_PLAN
    parser.add_argument("--plan", default=chosen, help="whose, default cpu; or PLAN=; `auto`")
    parser.add_argument("--out", default=name, help="a file; `-`: standard output")
    parser.add_argument(
        "--log", type=Path, action="append", default=[], help="one more, of a server"
    )
    given = parser.parse_args(arguments)
    asked = match.resolve(given.plan, lambda _: None)
    texts = collect(asked, environment, given.log)
    texts["README.txt"] = _READ_ME.format(when=f"{when:%Y-%m-%d %H:%M} UTC")
    content = archive(texts, redacted.secrets(_and_stored(environment)))
    if given.out == "-":
        sys.stdout.buffer.write(content)
        return
    try:
        Path(given.out).write_bytes(content)
    except OSError as error:
        raise InstallError(
            f"`{given.out}` cannot be written ({error.strerror}): name another with --out, or "
            "`--out -` and redirect it"
        ) from None
    say(f"wrote {given.out}: {len(content) / 1024:.0f} KiB, {len(texts)} files. It has no contents "
        "of requests and no secrets as far as is known: read it, then attach it")  # fmt: skip


def collect(
    name: str, environment: Mapping[str, str] = os.environ, logs: Sequence[Path] = ()
) -> dict[str, str]:
    """Text by place. What cannot be found out says why; the rest is there all the same."""
    parts: dict[str, Callable[[], str]] = {
        "doctor.json": lambda: _verb("doctor", "--plan", name, "--json"),
        "packages.json": lambda: _verb("doctor", "--packages", "--json"),
        "ledger.json": lambda: _verb("plan", "--plan", name, "--json"),
        "launch.json": lambda: _launch(name, environment),
        "versions.json": _versions,
        "gpu.json": _gpus,
        "manifests.json": lambda: _manifests(name),
    }
    texts = {place: _tried(part) for place, part in parts.items()}
    found = sorted(layout.LOG.glob("*.log*"), key=lambda one: one.stat().st_mtime)[-NUM_LOGS:]
    for path in [*found, *logs]:
        texts[f"log/{path.name}"] = _tried(lambda path=path: log(path))  # type: ignore[misc]
    for path in sorted((layout.ROOT / "engines" / name / ".build" / "logs").glob("*.log")):
        texts[f"build/{path.name}"] = _tried(lambda path=path: _end(path))  # type: ignore[misc]
    return texts


def archive(texts: Mapping[str, str], secrets: Mapping[str, str]) -> bytes:
    """A .tar.gz of `texts`, every one without `secrets`; readable by everybody, of nobody."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for place, text in texts.items():
            content = redacted.masked(text, secrets).encode("utf-8", "replace")
            info = tarfile.TarInfo(f"{FOLDER}/{place}")
            info.size, info.mode = len(content), 0o644
            file.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def log(path: Path) -> str:
    """The end of a server's log, as `redacted` lets it through."""
    models = [one.name for one in layout.MODEL_REPOSITORY.iterdir() if one.is_dir()]
    lines = list(redacted.kept(_read(path).splitlines(), models))
    return "\n".join(lines[-NUM_LINES:]) + "\n"


def _tried(part: Callable[[], str]) -> str:
    try:
        return part()
    except (BuildError, OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}\n"


def _verb(*arguments: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "build_scripts", *arguments], cwd=layout.ROOT, capture_output=True,
        text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    return ran.stdout if ran.stdout else ran.stderr


def _launch(name: str, environment: Mapping[str, str]) -> str:
    """Flags, environment and KV caps, without the secret that `serve` makes at each start."""
    parser = argparse.ArgumentParser()
    settings.add_arguments(parser)
    one = settings.from_arguments(parser.parse_args(["--plan", name]), environment)
    found = served.read(one, lambda _: None, environment)
    phases = {}
    for path in layout.RUN.glob(f"*/{claim.STATE}"):
        state = json.loads(path.read_text(encoding="utf-8"))
        phases[path.parent.name] = {key: state.get(key) for key in ("phase", "why")}
    document = {
        "launch": asdict(found.launch),
        "knobs": found.deployment.kv_caps,
        "servers": phases,
    }
    return json.dumps(document, indent=2, default=str) + "\n"


def _versions() -> str:
    commit = subprocess.run(
        ["git", "log", "-1", "--format=%H %cs"], cwd=layout.ROOT, capture_output=True, text=True,
        check=False,
    ) if (layout.ROOT / ".git").exists() else None  # fmt: skip
    document = {
        "commit": commit.stdout.strip() if commit else "no checkout of git",
        "image": container.REFERENCE,
        "python": platform.python_version(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
        "kernel": platform.release(),
        "machine": platform.machine(),
    }
    return json.dumps(document, indent=2) + "\n"


def _gpus() -> str:
    """Without the names of the processes on them, which are nobody's business."""
    found = [{**asdict(one), "processes": len(one.processes)} for one in gpus.gpus()]
    return json.dumps(found or gpus.problem(), indent=2, default=str) + "\n"


def _manifests(name: str) -> str:
    home = layout.ROOT / "engines" / name
    paths = sorted(path for depth in ("*", "*/*") for path in home.glob(f"{depth}/manifest.json"))
    found = {
        str(path.parent.relative_to(home)): json.loads(path.read_text(encoding="utf-8"))
        for path in paths
    }
    return json.dumps(found, indent=2) + "\n"


def _end(path: Path) -> str:
    return "\n".join(_read(path).splitlines()[-NUM_BUILD_LINES:]) + "\n"


def _read(path: Path) -> str:
    """At most the last MAX_LOG_BYTES; a line that they cut is left out."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - MAX_LOG_BYTES))
        content = file.read()
    text = content.decode("utf-8", "replace")
    return text if size <= MAX_LOG_BYTES else text.partition("\n")[2]


def _and_stored(environment: Mapping[str, str]) -> dict[str, str]:
    """With the token that Hugging Face's client keeps in a file."""
    home = Path(environment.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    try:
        stored = (home / "token").read_text(encoding="utf-8").strip()
    except OSError:
        stored = ""
    return {**environment, "STORED_TOKEN": stored}
