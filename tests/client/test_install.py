"""What the client brings along: not torch, not the server; what reads mails only to read mails."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import onecard_client
import onecard_formats

PACKAGE = Path(onecard_client.__file__).parent
FORMATS = Path(onecard_formats.__file__).parent
ALLOWED = {"grpc", "onecard_client", "onecard_formats", "tritonclient"}
# Of the extra `mail`, and where they may be imported.
MAIL = {
    "charset_normalizer",
    "icalendar",
    "olefile",
    "selectolax",
    "tinycss2",
    "webencodings",
}
READS_MAILS = "_mailbox"
# Without av films are sent whole; opentelemetry is asked where its application has imported it.
OPTIONAL = {"av", "opentelemetry"}


def imported(path: Path) -> set[str]:
    """The packages that a file imports, beyond Python's own."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names)


def test_imports_nothing_beyond_its_dependencies() -> None:
    of_client, of_mails = set(), set()
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] == READS_MAILS:
            of_mails |= imported(path)
        else:
            of_client |= imported(path)
    of_formats = set().union(*map(imported, FORMATS.rglob("*.py")))
    assert of_formats == {"budoux", "onecard_formats", "wcwidth"}
    assert of_client == ALLOWED | OPTIONAL
    assert of_mails <= {"onecard_client", *MAIL}


def run_without(missing: set[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command where `missing` cannot be imported."""
    code = (
        "import sys\n"
        f"for name in {sorted(missing)}:\n"
        "    sys.modules[name] = None\n"  # makes an import of it fail
        "from onecard_client.__main__ import main\n"
        f"sys.exit(main({list(arguments)}))\n"
    )
    path = {"PYTHONPATH": str(PACKAGE.parent)}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=path)


def test_runs_where_torch_and_the_server_cannot_be_imported() -> None:
    server = {"torch", "onecard", "triton_python_backend_utils", "ctranslate2", "av"}
    done = run_without(server, "--version")
    assert done.stdout.startswith("onecard "), done.stderr


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["chat", "--help"], ["transcribe", "--help"]]
)
def test_runs_where_what_reads_mails_cannot_be_imported(arguments: list[str]) -> None:
    done = run_without(MAIL, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "onecard" in done.stdout


def test_reading_mails_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "one.eml").write_text("Subject: s\n\nhi")
    done = run_without(MAIL, "triage", str(tmp_path / "one.eml"))
    assert done.returncode == 1
    assert "reading emails needs more packages" in done.stderr
    assert "pip install 'onecard[mail]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("package", [PACKAGE, PACKAGE.parents[1] / "onecard"])
def test_type_checkers_of_users_read_the_annotations(package: Path) -> None:
    """PEP 561: without this file a typed package is untyped to those who import it."""
    assert (package / "py.typed").is_file()


def test_the_version_is_written_in_pyproject_alone() -> None:
    root = PACKAGE.parents[1]
    stated = re.search(r'^version = "(.+)"$', (root / "pyproject.toml").read_text(), re.MULTILINE)
    assert stated
    sources = [*(root / "onecard").rglob("*.py"), *PACKAGE.rglob("*.py")]
    assert len(sources) > 100
    assert [path for path in sources if stated[1] in path.read_text()] == []
