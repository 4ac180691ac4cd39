"""Writes the dashboards to deploy/grafana/.

`make repository` runs it, and `make check` runs it with `--check`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from build_scripts import errors, paths
from build_scripts.console import say
from build_scripts.dashboards.dashboards import DASHBOARDS
from build_scripts.errors import BuildError

FOLDER = paths.ROOT / "deploy" / "grafana"


def texts() -> dict[str, str]:
    """The content of every file, by its name."""
    return {
        name: json.dumps(dashboard.document(), indent=2) + "\n"
        for name, dashboard in DASHBOARDS.items()
    }


def main(arguments: Sequence[str]) -> None:
    """Write the files, or with `--check` raise BuildError where one is not as written."""
    parser = argparse.ArgumentParser(
        prog="python -m build_scripts.dashboards.files",
        description="write the dashboards of deploy/grafana/",
    )
    parser.add_argument("--check", action="store_true", help="change nothing, fail on a difference")
    check = parser.parse_args(arguments).check
    stale = [
        name
        for name, text in texts().items()
        if not (FOLDER / name).is_file() or (FOLDER / name).read_text() != text
    ]
    if check and stale:
        raise BuildError(
            f"deploy/grafana/ has {', '.join(stale)} other than build_scripts/dashboards/ makes "
            "them; run `make repository`"
        )
    for name in stale:
        (FOLDER / name).write_text(texts()[name])
        say(f"wrote deploy/grafana/{name}")


if __name__ == "__main__":
    errors.run(main)
