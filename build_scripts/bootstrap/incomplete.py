"""Lists, as JSON, the metadata folders of distributions that are only half there.

Runs in the environment's interpreter. pip judges by metadata alone, so that one it was killed at
would count as installed for ever.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.metadata import Distribution
from pathlib import Path

# Removed on purpose by `environment`; their absence is no damage.
_DROPPED = ("torchaudio/lib/",)


def is_complete(distribution: Distribution, site: Path, existing: set[str]) -> bool:
    """Whether every file that the RECORD of `distribution` names is there; pip writes it last."""
    record = distribution.read_text("RECORD")
    if record is None:
        return False
    for line in record.splitlines():
        name = line.rsplit(",", 2)[0].strip('"')
        if name.endswith(".pyc") or name.startswith(_DROPPED) or name in existing:
            continue
        if not os.path.lexists(site / name):
            return False
    return True


def incomplete(site: Path) -> list[str]:
    """Names of the *.dist-info folders below `site` whose files are not all there."""
    existing = {
        os.path.relpath(os.path.join(folder, name), site)
        for folder, _, names in os.walk(site)
        for name in names
    }
    found = []
    for folder in sorted(site.glob("*.dist-info")):
        if not is_complete(Distribution.at(folder), site, existing):
            found.append(folder.name)
    return found


if __name__ == "__main__":
    import sysconfig

    sys.stdout.write(json.dumps(incomplete(Path(sysconfig.get_path("purelib")))) + "\n")
