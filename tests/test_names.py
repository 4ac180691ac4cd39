"""Names of modules in comments and docstrings are those of modules that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "onecard": "",
    "onecard_client": "client",
    "onecard_formats": "client",
    "onecard_gateway": "gateway",
    "tensorrtllm_cpu": "backends/tensorrtllm",
    "build_scripts": "",
    "bench": "",
    "evaluation": "",
}
_NAME = re.compile(rf"`((?:{'|'.join(PACKAGES)})(?:\.\w+)+)(?:\(\))?`")


def exists(name: str) -> bool:
    """Whether `name` is a module, or the word after a module's name is in its text."""
    parts = name.split(".")
    base = ROOT / PACKAGES[parts[0]]
    for length in range(len(parts), 0, -1):
        path = base.joinpath(*parts[:length])
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                rest = parts[length : length + 1]
                return all(re.search(rf"\b{word}\b", file.read_text()) for word in rest)
    return False


@pytest.mark.parametrize("package", PACKAGES)
def test_modules_that_are_named_exist(package: str) -> None:
    found = []
    for path in (ROOT / PACKAGES[package] / package).rglob("*.py"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            names = [name for name in _NAME.findall(line) if not exists(name)]
            found += [f"{path.relative_to(ROOT)}:{number}: {name}" for name in names]
    assert found == []
