from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from onecard import manifest
from onecard.manifest import ManifestError

FACTS = {
    "name": "whisper",
    "model": "a model",
    "backend": "ctranslate2",
    "precision": "int8",
    "licence": "MIT",
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "model.bin").write_bytes(b"weights")
    (tmp_path / "vocabulary").mkdir()
    (tmp_path / "vocabulary" / "words.txt").write_bytes(b"a b c")
    manifest.write(tmp_path, manifest.scan(tmp_path, **FACTS))
    return tmp_path


def test_a_complete_directory_verifies(directory: Path) -> None:
    found = manifest.verify(directory)
    assert found.name == "whisper"
    assert found.files == {
        "model.bin": hashlib.sha256(b"weights").hexdigest(),
        "vocabulary/words.txt": hashlib.sha256(b"a b c").hexdigest(),
    }


def test_the_document_has_the_agreed_keys(directory: Path) -> None:
    document = json.loads((directory / "manifest.json").read_text())
    assert set(document) == {*FACTS, "files"}


def test_another_content_is_named_with_both_hashes(directory: Path) -> None:
    (directory / "model.bin").write_bytes(b"weightz")
    with pytest.raises(ManifestError) as error:
        manifest.verify(directory)
    message = str(error.value)
    assert str(directory / "model.bin") in message
    assert hashlib.sha256(b"weights").hexdigest() in message
    assert hashlib.sha256(b"weightz").hexdigest() in message
    assert "`make setup`" in message


def test_a_missing_file_is_named(directory: Path) -> None:
    (directory / "vocabulary" / "words.txt").unlink()
    with pytest.raises(ManifestError, match=r"words\.txt` is missing.*`make setup`"):
        manifest.verify(directory)


def test_a_directory_without_manifest_is_not_complete(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.json` is missing.*`make setup`"):
        manifest.verify(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        json.dumps({**FACTS, "files": []}),
        json.dumps({**FACTS, "files": {"model.bin": 1}}),
        json.dumps({**FACTS, "files": {}, "more": ""}),
        json.dumps({**FACTS, "name": None, "files": {}}),
        json.dumps({**FACTS, "files": {"../model.bin": "0"}}),
        json.dumps({**FACTS, "files": {"/etc/passwd": "0"}}),
    ],
)
def test_what_is_no_manifest_is_refused(directory: Path, text: str) -> None:
    (directory / "manifest.json").write_text(text)
    with pytest.raises(ManifestError, match="`make setup`"):
        manifest.verify(directory)
