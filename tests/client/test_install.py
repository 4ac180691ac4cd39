"""What the client brings along: not torch, not the server."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import onecard_client

PACKAGE = Path(onecard_client.__file__).parent
ALLOWED = {"grpc", "tritonclient", "onecard_client"}
OPTIONAL = {"av"}  # where it is missing, films are sent whole


def test_imports_nothing_beyond_its_dependencies() -> None:
    imported = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    assert imported - set(sys.stdlib_module_names) == ALLOWED | OPTIONAL


def test_runs_where_torch_and_the_server_cannot_be_imported() -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'onecard', 'triton_python_backend_utils', 'ctranslate2', 'av'):\n"
        "    sys.modules[name] = None\n"  # makes an import of it fail
        "from onecard_client.__main__ import main\n"
        "main(['--version'])\n"
    )
    path = {"PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=path)
    assert done.stdout.startswith("onecard "), done.stderr
