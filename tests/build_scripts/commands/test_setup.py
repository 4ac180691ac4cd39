"""The messages about what can be missing, and what an interrupted installation leaves."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from build_scripts import paths
from build_scripts.bootstrap import incomplete, requirements, samples, venv
from build_scripts.commands import setup
from build_scripts.errors import (
    BuildError,
    CheckpointError,
    DownloadError,
    InstallError,
    MachineError,
)
from build_scripts.fetch import pip
from tests.waiting import PATIENCE_S


def sentence(lack: requirements.Lack | None) -> str:
    assert lack is not None
    return lack.sentence()


@pytest.mark.parametrize("version", [(3, 9), (3, 13), (2, 7)])
def test_an_unfit_interpreter_is_named_with_its_cure(version: tuple[int, int]) -> None:
    message = sentence(requirements.interpreter(version))
    assert f"`{version[0]}.{version[1]}`" in message
    assert "apt-get install python3.11" in message
    assert "PYTHON=" in message


@pytest.mark.parametrize("version", [(3, 10), (3, 11), (3, 12)])
def test_fit_interpreters(version: tuple[int, int]) -> None:
    assert requirements.interpreter(version) is None


@pytest.mark.parametrize(
    ("found", "fit"),
    [
        (("glibc", "2.35"), True),
        (("glibc", "2.41"), True),
        (("glibc", "3.0"), True),
        (("glibc", "2.31"), False),
        (("", ""), False),
    ],
)
def test_the_c_library(found: tuple[str, str], fit: bool) -> None:
    assert (requirements.c_library(found) is None) == fit
    if not fit:
        assert "2.35" in sentence(requirements.c_library(found))


def test_a_missing_libpython_is_named_with_its_package() -> None:
    message = sentence(requirements.library_of_interpreter((3, 99), "/usr/lib"))
    assert "libpython3.99.so.1.0" in message
    assert "apt-get install libpython3.99" in message


def test_the_machine_and_the_disk() -> None:
    assert requirements.machine("Linux", "x86_64") is None
    assert requirements.machine("Linux", "aarch64") is None
    assert "Darwin arm64" in sentence(requirements.machine("Darwin", "arm64"))
    assert requirements.disk(requirements.MIN_FREE_BYTES) is None
    assert "1.0 GiB free" in sentence(requirements.disk(2**30))


def test_every_lack_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "MIN_GLIBC", (9, 0))
    with pytest.raises(MachineError) as error:
        requirements.check((3, 99), "/usr/lib", fresh=True)
    assert "the C library is" in str(error.value)
    assert "Python is `3.99`" in str(error.value)
    assert "libpython3.99" in str(error.value)


def test_another_python_is_looked_for_and_otherwise_asked_for(tmp_path: Path) -> None:
    """As an interpreter that is too new: the entry point runs, finds none and says so."""
    script = (
        "import sys, runpy; sys.version_info = (3, 14, 0, 'final', 0)\n"
        "sys.argv = ['build_scripts', 'setup']\n"
        "runpy.run_module('build_scripts', run_name='__main__')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=paths.ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "Python 3.14 was found, wanted 3.10, 3.11 or 3.12" in ran.stderr


def test_an_unreachable_index_is_said_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `make demo`, which another test may run meanwhile, empties the usual one.
    monkeypatch.setattr(paths, "DOWNLOADS", tmp_path)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_CACHE_DIR", "")
    package = pip.Package("nvidia-pytriton", "0.7.0", ("0" * 64,))
    with (
        pytest.raises(DownloadError, match=r"no answer from the package index.*0\.7\.0"),
        pip.fetched(package),
    ):
        pass
    assert not (paths.DOWNLOADS / "nvidia-pytriton").exists()


def test_torch_is_pinned_in_the_project() -> None:
    assert venv.pinned_torch(paths.PROJECT.read_text()).startswith("torch==")
    with pytest.raises(InstallError, match="pins no torch"):
        venv.pinned_torch("dependencies = []")


def distribution(site: Path, record: str | None) -> Path:
    folder = site / "demo-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
    if record is not None:
        (folder / "RECORD").write_text(record)
    return folder


def test_an_installation_without_record_is_incomplete(tmp_path: Path) -> None:
    folder = distribution(tmp_path, None)
    assert Distribution.at(folder).version == "1.0"  # pip would be satisfied
    assert incomplete.incomplete(tmp_path) == ["demo-1.0.dist-info"]


def test_an_installation_with_a_missing_file_is_incomplete(tmp_path: Path) -> None:
    distribution(tmp_path, "demo/__init__.py,,\ndemo/__pycache__/x.pyc,,\n")
    assert incomplete.incomplete(tmp_path) == ["demo-1.0.dist-info"]
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "__init__.py").touch()
    assert incomplete.incomplete(tmp_path) == []


def test_a_second_setup_waits_for_the_first(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from build_scripts import paths\n"
        "from build_scripts.bootstrap.lock import alone\n"
        "paths.TRITON = Path(sys.argv[1])\n"
        "with alone(): print('in')\n"
    )
    with (tmp_path / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)],
            cwd=paths.ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert second.stdout is not None
        assert "waiting" in second.stdout.readline()
        assert second.poll() is None
    rest, _ = second.communicate(timeout=PATIENCE_S)
    assert rest == "in\n"


def test_an_engine_that_cannot_be_made_ends_setup_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = tmp_path / "build_scripts" / "engines" / "build.py"
    build.parent.mkdir(parents=True)
    for folder in (build.parent, build.parent.parent):
        (folder / "__init__.py").touch()  # packages that win against the real ones
    build.write_text(
        f"import sys; sys.path.insert(0, {str(paths.ROOT)!r})\n"
        "del sys.modules['build_scripts'], sys.modules['build_scripts.engines']\n"
        "from build_scripts import errors\n"
        "def main(arguments): raise errors.CheckpointError('`nothing.gguf` cannot be read')\n"
        "errors.run(main)\n"
    )
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    with pytest.raises(BuildError, match=r"^`nothing\.gguf` cannot be read$") as error:
        setup.make_engines()
    assert error.value.exit_code == CheckpointError.exit_code


def test_a_missing_sample_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "SAMPLES", tmp_path)
    with pytest.raises(InstallError, match=r"prompts-en.*was not fetched.*`make samples`"):
        samples.folder("prompts-en")
    monkeypatch.setenv("PATH", "")
    said: list[str] = []
    samples.build_all(said.append, ("prompts-en",))
    assert "`apt-get` is not on this machine" in said[0]
    with pytest.raises(InstallError, match="`apt-get` is not on this machine"):
        samples.folder("prompts-en")


def test_every_sample_set_is_pinned() -> None:
    assert len({one.name for one in samples.SETS}) == len(samples.SETS)
    for one in samples.SETS:
        assert len(one.digest) == 64, one.name
        assert one.licence
