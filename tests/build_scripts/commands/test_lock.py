"""What is installed has the hash of a lock: torch of any build, and what a lock is made of.

pip is the real one, with wheels made here and no index but a directory.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
import subprocess
import sys
import threading
import venv
import zipfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from build_scripts import paths
from build_scripts.bootstrap import venv as environment
from build_scripts.commands import lock as locks
from build_scripts.errors import DownloadError

TORCH = "torch==9.9.9"
HERE = f"cp{sys.version_info.major}{sys.version_info.minor}"


def wheel(folder: Path, name: str, version: str, requires: str = "") -> str:
    """Makes an empty package; returns its sha256."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += f"Requires-Dist: {requires}\n" if requires else ""
    texts = {
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [f"{one},sha256={_digest(text.encode())},{len(text)}" for one, text in texts.items()]
    texts[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,", ""])
    with zipfile.ZipFile(path, "w") as file:
        for one, text in texts.items():
            file.writestr(zipfile.ZipInfo(one), text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(folder, with_pip=True)
    return folder


@pytest.fixture
def offered(tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of wheels, which is all that pip finds; torch is gone afterwards."""
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_CONSTRAINT", environment.OWN_TORCH):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    yield tmp_path / "wheels"
    remove = [str(made / "bin" / "python"), "-m", "pip", "uninstall", "--yes", "--quiet", "torch"]
    subprocess.run(remove, check=True, capture_output=True)


def lock(path: Path, requirement: str, *sha256: str) -> Path:
    path.write_text(locks.entry(requirement, sha256) + "\n")
    return path


def install(made: Path, cpu: Path, pypi: Path) -> str:
    environment.install_torch(made / "bin" / "python", TORCH, lambda _: None, cpu, pypi)
    return environment.installed_torch(made, TORCH)


def test_the_build_for_the_cpu_is_taken_where_pip_finds_it(
    offered: Path, made: Path, tmp_path: Path
) -> None:
    plain, small = wheel(offered, "torch", "9.9.9"), wheel(offered, "torch", "9.9.9+cpu")
    cpu = lock(tmp_path / "cpu.lock", f"{TORCH}+cpu", "0" * 64, small)
    assert install(made, cpu, lock(tmp_path / "pypi.lock", TORCH, plain)) == "torch-9.9.9+cpu"


def test_pypis_is_taken_where_there_is_no_other(offered: Path, made: Path, tmp_path: Path) -> None:
    plain = wheel(offered, "torch", "9.9.9")
    cpu = lock(tmp_path / "cpu.lock", f"{TORCH}+cpu", "0" * 64)
    assert install(made, cpu, lock(tmp_path / "pypi.lock", TORCH, plain)) == "torch-9.9.9"


@pytest.mark.parametrize("build", ["", "+cpu"])
def test_another_file_of_that_name_is_refused(
    offered: Path, made: Path, tmp_path: Path, build: str
) -> None:
    wheel(offered, "torch", f"9.9.9{build}", requires="somebody-elses")
    cpu = lock(tmp_path / "cpu.lock", f"{TORCH}+cpu", "1" * 64)
    with pytest.raises(DownloadError, match="is not the file that was pinned"):
        install(made, cpu, lock(tmp_path / "pypi.lock", TORCH, "2" * 64))
    assert environment.installed_torch(made, TORCH) == ""


def test_a_lock_of_another_build_can_be_named(
    offered: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(offered, "torch", "9.9.9+cpu")
    own = wheel(offered, "torch", "9.9.9+cu126")
    named = lock(tmp_path / "own.lock", f"{TORCH}+cu126", own)
    monkeypatch.setenv(environment.OWN_TORCH, str(named))
    assert install(made, tmp_path / "none", tmp_path / "none") == "torch-9.9.9+cu126"


def test_a_lock_is_made_of_what_an_index_states(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = {
        "torch": wheel(tmp_path / "torch", "torch", "9.9.9+cu126", "nvidia-cublas-cu12"),
        "nvidia-cublas-cu12": wheel(tmp_path / "nvidia-cublas-cu12", "nvidia_cublas_cu12", "1.0"),
    }
    for name, digest in sha256.items():
        (one,) = (tmp_path / name).glob("*.whl")
        link = f'<a href="{one.name.replace("+", "%2B")}#sha256={digest}">{one.name}</a>'
        (tmp_path / name / "index.html").write_text(f"<!DOCTYPE html><html>{link}</html>")
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as index:
        thread = threading.Thread(target=index.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        url = f"http://127.0.0.1:{index.server_address[1]}"
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("PIP_INDEX_URL", url)
        for name in ("PIP_FIND_LINKS", "PIP_CONSTRAINT", "PIP_EXTRA_INDEX_URL"):
            monkeypatch.delenv(name, raising=False)
        try:
            found = locks.of_index(f"{TORCH}+cu126", url)
        finally:
            index.shutdown()
            thread.join()
    assert found == (
        f"nvidia-cublas-cu12==1.0 \\\n    --hash=sha256:{sha256['nvidia-cublas-cu12']}\n"
        f"torch==9.9.9+cu126 \\\n    --hash=sha256:{sha256['torch']}\n"
    )


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


LOCKS = ("requirements-torch", "requirements-torch-cpu", "requirements-cuda", "requirements-tools")


@pytest.mark.parametrize("name", [*(f"{one}.lock" for one in LOCKS), "docker/pip.lock"])
def test_every_package_of_a_lock_has_a_version_and_hashes(name: str) -> None:
    entries = locks._entries((paths.ROOT / name).read_text().partition("\n")[2])
    assert entries
    for one in entries:
        assert re.match(r"[a-z0-9-]+==[^\s;]+( ;[^\\]+)? \\\n    --hash=sha256:[0-9a-f]{64}", one)


def test_the_locks_agree_with_each_other_and_with_the_project() -> None:
    torch = environment.pinned_torch(paths.PROJECT.read_text())
    assert f"{torch} \\" in paths.TORCH_LOCK.read_text()
    assert f"{torch}+cpu \\" in paths.TORCH_CPU_LOCK.read_text()
    pinned = re.findall(r"^(\S+==[^\\]+) \\$", paths.LOCK.read_text(), re.M)
    for path in (paths.TORCH_LOCK, paths.TOOLS_LOCK):
        for one in re.findall(r"^(\S+==[^\\]+) \\$", path.read_text(), re.M):
            same = [other for other in pinned if other.split("==")[0] == one.split("==")[0]]
            known = {other.split(" ;")[0] for other in same}
            assert not same or one.split(" ;")[0] in known, (one, same)


def test_what_a_card_needs_is_apart_from_what_every_torch_needs() -> None:
    text = "filelock==1 \\\n    --hash=sha256:1\nnvidia-x==2 \\\n    --hash=sha256:2\n"
    common, cuda = locks.split(text + "torch==3 \\\n    --hash=sha256:3\n")
    assert re.findall(r"^\w+", common, re.M) == ["filelock", "torch"]
    assert cuda == "nvidia-x==2 \\\n    --hash=sha256:2\n"
    for name, path in (("nvidia-", paths.TORCH_LOCK), ("torch==", paths.CUDA_LOCK)):
        assert name not in path.read_text()
