"""The model repository with another directory of acoustic models for `align`, served for a
while.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from build_scripts import paths
from build_scripts.server.temporary import told
from evaluation.peers import acoustic, environment


@contextlib.contextmanager
def chosen() -> Iterator[None]:
    """Servers that are started in this block align English with the model of `evaluation.peers`."""
    with tempfile.TemporaryDirectory() as folder:
        write(
            Path(folder), {"ctc_models": str(environment.ALIGN), "ctc_preload": acoustic.LANGUAGE}
        )
        with told("REPOSITORY", folder):
            yield


def write(folder: Path, parameters: dict[str, str]) -> None:
    """A copy of the model repository in which `align` has other `parameters`."""
    for directory in sorted(p for p in paths.MODEL_REPOSITORY.iterdir() if p.is_dir()):
        target = folder / directory.name
        target.mkdir()
        (target / "1").symlink_to(directory / "1")
        text = (directory / "config.pbtxt").read_text(encoding="utf-8")
        if directory.name == "align":
            config = text_format.Parse(text, model_config_pb2.ModelConfig())
            for name, value in parameters.items():
                config.parameters[name].string_value = value
            text = text_format.MessageToString(config)
        (target / "config.pbtxt").write_text(text, encoding="utf-8")
