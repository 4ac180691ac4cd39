"""The pages of the repository: every link leads somewhere, and every table can be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
MAX_CELL_CHARACTERS = 200
# The table of keys is generated from the schema of plans.
GENERATED = {"docs/gpu/plans.md": "## Writing a plan"}
FOLDERS = (
    "backends|bench|build_scripts|client|deploy|docker|docs|evaluation|gateway|model_repository|onecard|"
    "tests"
)
FILE = re.compile(rf"`((?:{FOLDERS})/[\w./*-]+)`")
# What a command or a contributor writes, and files of other repositories.
NOT_OURS = {
    "docs/measured/",
    "docker/.env",
    "onecard/name/",
    "model_repository/name/1/model.py",
    "docs/llama_multi_instance.md",
    "tests/data",
}


def prose(page: Path) -> str:
    """The text of a page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    names: list[str] = []
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        name = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        repeats = sum(
            re.fullmatch(re.escape(name) + r"(-\d+)?", other) is not None for other in names
        )
        names.append(f"{name}-{repeats}" if repeats else name)
    return set(names)


def broken(page: Path) -> list[str]:
    """The relative links of a page that lead to no file or to no heading."""
    targets = [target for target in LINK.findall(prose(page)) if not re.match(r"[a-z]+:", target)]
    found = []
    for target in targets:
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            found.append(target)
    return found


def long_cells(page: Path, generated: str | None = None) -> list[str]:
    """Cells of tables with more characters than a reader takes in at a glance; links count as
    their text."""
    found, section = [], ""
    for line in prose(page).splitlines():
        if line.startswith("#"):
            section = line
        if not line.startswith("|") or section == generated:
            continue
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line)
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", text.strip("| "))]
        found += [cell for cell in cells if len(cell) > MAX_CELL_CHARACTERS]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_somewhere(name: str) -> None:
    assert broken(ROOT / name) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_file_that_is_named_exists(name: str) -> None:
    named = set(FILE.findall(prose(ROOT / name))) - NOT_OURS
    assert [path for path in sorted(named) if not list(ROOT.glob(path))] == []


@pytest.mark.parametrize("name", NAMES)
def test_no_table_cell_is_long(name: str) -> None:
    assert long_cells(ROOT / name, GENERATED.get(name)) == []


def test_a_link_to_nothing_and_a_long_cell_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One `page`, two\n## Same\n## Same\n"
        "[a](#one-page-two) [b](#same-1) [c](#gone) [d](page.md#same) [e](gone.md)\n"
        f"[f](https://example.com/gone)\n"
        f"| a | {'x' * 201} | [y](https://example.com/{'z' * 300}) |\n"
    )
    assert broken(page) == ["#gone", "gone.md"]
    assert long_cells(page) == ["x" * 201]
