"""The schema that editors read, and the table of keys in docs/gpu/plans.md."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from build_scripts import paths
from build_scripts.errors import PlanError
from build_scripts.plans import plan, reference

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCHEMA = json.loads(reference.SCHEMA.read_text(encoding="utf-8"))


def stated(name: str) -> dict[str, Any]:
    return tomllib.loads((plan.PLANS / f"{name}.toml").read_text(encoding="utf-8"))


def test_what_is_checked_in_follows_from_the_schema() -> None:
    reference.main(["--check"])


@pytest.mark.parametrize("name", plan.names())
def test_every_plan_names_the_schema_and_is_valid_by_it(name: str) -> None:
    first = (plan.PLANS / f"{name}.toml").read_text(encoding="utf-8").splitlines()[0]
    assert first == f"#:schema ./{reference.SCHEMA.name}"
    jsonschema.validate(stated(name), SCHEMA)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("card", "sm", 8),
        ("card", "vram_gib", "24"),
        ("speech", "beam_widht", 5),
        ("speech", "model", "large-v4"),
        ("align", "preload", ["en", "en"]),
        ("triage", "categories", ["a,b"]),
        ("triage", "categories", []),
        ("chat", "temperature", 2.1),
        ("llm", "checkpoint", " "),
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(section: str, key: str, value: object) -> None:
    document = stated("rtx3090")
    document[section][key] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)


@pytest.mark.parametrize("section", ["card", "fit", "speech"])
def test_the_schema_misses_a_section(section: str) -> None:
    document = stated("rtx3090")
    del document[section]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)


def test_every_key_says_what_it_means_within_one_cell() -> None:
    rows = reference.key_table(SCHEMA).splitlines()[2:]
    keys = sum(len(section["properties"]) for section in list(SCHEMA["properties"].values())[:-1])
    further = SCHEMA["properties"]["speech"]["properties"]["models"]["additionalProperties"]
    assert len(rows) == keys + len(further["properties"]) + 1  # models
    assert "| `card.sm` | whole number from 50 |  | Compute capability, 86 for 8.6." in rows[1]
    assert "| `chat.temperature` | number from 0 to 2 | `0.15` |" in "\n".join(rows)
    for row in rows:
        assert len(max(row.split(" | "), key=len)) <= 200, row


def test_what_differs_is_named_with_the_cure_and_then_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "plans.md"
    page.write_text(f"before\n{reference.BEGIN}\nold\n{reference.END}\nafter\n")
    monkeypatch.setattr(reference, "DOCS", page)
    monkeypatch.setattr(reference, "SCHEMA", tmp_path / "plan.schema.json")
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    with pytest.raises(PlanError, match=r"^plan\.schema\.json, plans\.md differ.*make repository"):
        reference.main(["--check"])
    reference.main([])
    reference.main(["--check"])
    text = page.read_text()
    assert text.startswith(f"before\n{reference.BEGIN}\n\n| key |")
    assert text.endswith(f"|\n\n{reference.END}\nafter\n")
    page.write_text("no table\n")
    with pytest.raises(PlanError, match="once each: put them back"):
        reference.main([])
