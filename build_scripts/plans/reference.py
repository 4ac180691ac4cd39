"""Writes what is generated from the schema of plans: the file for editors, and the table in docs.

`make repository` runs it, and `make check` runs it with `--check`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from build_scripts import errors, paths
from build_scripts.console import say
from build_scripts.errors import PlanError
from build_scripts.plans.plan import PLANS, SECTIONS
from build_scripts.plans.schema import Plan

SCHEMA = PLANS / "plan.schema.json"
DOCS = paths.ROOT / "docs" / "gpu" / "plans.md"
BEGIN = "<!-- keys: from build_scripts/plans/schema.py, by `make repository` -->"
END = "<!-- keys: end -->"
_KINDS = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true, false"}

Schema = dict[str, Any]


def json_schema() -> Schema:
    """The JSON Schema of a plan's file: each section as a table, and `[models.*]`."""
    plan = TypeAdapter(Plan).json_schema()
    sections = {name.lower(): section for name, section in plan["$defs"].items()}
    for section in sections.values():
        for key in section["properties"].values():
            del key["title"]  # the key in other letters
            key["description"] = " ".join(key["description"].split())
    sections["speech"]["properties"]["models"]["additionalProperties"] = sections["further"]
    models = {**plan["properties"]["overrides"], "title": "Models"}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A plan of onecard",
        "type": "object",
        "properties": {**{name: sections[name] for name in SECTIONS}, "models": models},
        "required": [name for name in plan["required"] if name in SECTIONS],
        "dependencies": {"card": ["fit"], "fit": ["card"]},
        "additionalProperties": False,
    }


def key_table(schema: Schema) -> str:
    """Every key of every section as a row of a Markdown table."""
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for name in SECTIONS:
        section = schema["properties"][name]
        rows += _rows(name, section)
    models = schema["properties"]["models"]["description"]
    rows.append(f"| `models.<model>.*` | | | {models} |")
    return "\n".join(rows)


def _rows(name: str, section: Schema) -> list[str]:
    """A row for each key of a section; a table in it has the rows of what each entry holds."""
    rows = []
    for key, value in section["properties"].items():
        if value["type"] == "object":
            rows.append(f"| `{name}.{key}.<name>` | | | {value['description']} |")
            rows += _rows(f"{name}.{key}.<name>", value["additionalProperties"])
            continue
        default = "" if key in section.get("required", []) else _literal(value["default"])
        columns = (f"`{name}.{key}`", _values(value), default, value["description"])
        rows.append(f"| {' | '.join(columns)} |")
    return rows


def _values(value: Schema) -> str:
    """Which values a key may have, in words."""
    if value["type"] == "array":
        return f"list of: {_values(value['items'])}"
    if "enum" in value:
        return ", ".join(_literal(choice) for choice in value["enum"] if choice)
    limits = [
        f"{word} {value[limit]:g}"
        for limit, word in (("minimum", "from"), ("maximum", "to"))
        if limit in value
    ]
    return " ".join([_KINDS[value["type"]], *limits])


def _literal(value: Any) -> str:
    """A value as TOML has it; a text has quotes only where it is empty."""
    return f"`{value}`" if isinstance(value, str) and value else f"`{json.dumps(value)}`"


def generated() -> dict[Path, str]:
    """The text of each file that follows from the schema. Raises PlanError for a page whose table
    has lost its marks."""
    schema = json_schema()
    page = DOCS.read_text(encoding="utf-8")
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise PlanError(f"{DOCS} must have `{BEGIN}` and `{END}` once each: put them back")
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    return {
        SCHEMA: json.dumps(schema, indent=2) + "\n",
        DOCS: f"{before}{BEGIN}\n\n{key_table(schema)}\n\n{END}{after}",
    }


def main(arguments: Sequence[str]) -> None:
    """Write the files that differ. Raises PlanError: with `--check`, for those that do."""
    parser = argparse.ArgumentParser(
        prog="python -m build_scripts.plans.reference",
        description="Write plans/plan.schema.json and the key table of docs/gpu/plans.md.",
    )
    parser.add_argument("--check", action="store_true", help="name what differs, write nothing")
    wants_check = parser.parse_args(arguments).check
    texts = generated().items()
    stale = {
        path: text
        for path, text in texts
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    }
    if stale and wants_check:
        names = ", ".join(str(path.relative_to(paths.ROOT)) for path in stale)
        raise PlanError(f"{names} differ from build_scripts/plans/schema.py; run `make repository`")
    for path, text in stale.items():
        path.write_text(text, encoding="utf-8")
        say(f"wrote {path}")


if __name__ == "__main__":
    errors.run(main)
