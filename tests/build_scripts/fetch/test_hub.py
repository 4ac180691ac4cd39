"""Files of a repository, fetched by Hugging Face's real client from a fake of its server."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from build_scripts.errors import DownloadError
from build_scripts.fetch import hub as fetching
from build_scripts.fetch import hub_lock
from tests.build_scripts import fake_hub
from tests.build_scripts.fake_hub import COMMIT, FakeHub

NAME = "someone/Mistral-AWQ"
FILES = {
    "config.json": b"{}",
    "tokenizer.json": b'{"a": 1}',
    "model-00001-of-00002.safetensors": os.urandom(3000),
    "model-00002-of-00002.safetensors": os.urandom(2000),
    "consolidated.safetensors": os.urandom(5000),
}
WANTED = ("--file=config.json", "--file=model*.safetensors", "--optional=chat_template.jinja")


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with fake_hub.serving(NAME, dict(FILES)) as server:
        yield server


def fetch(
    hub: FakeHub,
    into: Path,
    *wanted: str,
    revision: str = "main",
    name: str = NAME,
    token: str = "",
) -> subprocess.CompletedProcess[str]:
    """In a process of its own, because the client reads HF_ENDPOINT when it is imported."""
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1"}
    environment |= {
        "HF_TOKEN": token,
        "HF_HOME": str(into.parent / "home"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    command = [sys.executable, "-m", "build_scripts.fetch.hub", name, "--revision", revision]
    command += ["--into", str(into), *(wanted or WANTED)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_only_the_wanted_files_arrive_and_the_commit_is_recorded(
    hub: FakeHub, tmp_path: Path
) -> None:
    ran = fetch(hub, tmp_path / "into")
    assert ran.returncode == 0, ran.stderr
    found = {path.name: path for path in (tmp_path / "into").iterdir() if path.is_file()}
    weights = {name for name in FILES if name.startswith("model-")}
    assert set(found) == {"config.json", "revision.json", *weights}
    for name in weights:
        assert found[name].read_bytes() == FILES[name]
    fetched = fetching.read(tmp_path / "into")
    assert fetched is not None
    assert (fetched.commit, fetched.asked, fetched.licence) == (COMMIT, "main", "apache-2.0")
    assert fetched.files["config.json"] == 2


@pytest.mark.parametrize(
    ("order", "brought"),
    [
        (("model-1.safetensors", "consolidated.safetensors"), "consolidated.safetensors"),
        (("consolidated.safetensors", "config.json"), "consolidated.safetensors"),
    ],
)
def test_of_several_forms_the_first_that_there_is_is_brought(
    hub: FakeHub, tmp_path: Path, order: tuple[str, ...], brought: str
) -> None:
    ran = fetch(hub, tmp_path / "into", "--file=config.json", *(f"--first-of={o}" for o in order))
    assert ran.returncode == 0, ran.stderr
    found = {path.name for path in (tmp_path / "into").iterdir() if path.is_file()}
    assert found == {"config.json", "revision.json", brought}


def test_a_repository_with_none_of_the_forms_is_refused(hub: FakeHub, tmp_path: Path) -> None:
    ran = fetch(hub, tmp_path / "into", "--file=config.json", "--first-of=a.bin", "--first-of=b")
    assert ran.returncode == DownloadError.exit_code
    assert "has none of a.bin, b (it has" in ran.stderr


def test_a_second_fetch_brings_only_what_is_missing_or_damaged(
    hub: FakeHub, tmp_path: Path
) -> None:
    fetch(hub, tmp_path / "into")
    first = tmp_path / "into" / "model-00001-of-00002.safetensors"
    first.write_bytes(b"x" * 3000)
    hub.asked.clear()
    assert fetch(hub, tmp_path / "into").returncode == 0
    assert [path for path in hub.asked if "resolve" in path] == [
        f"/{NAME}/resolve/{COMMIT}/model-00001-of-00002.safetensors"
    ]
    assert first.read_bytes() == FILES["model-00001-of-00002.safetensors"]


def test_what_breaks_off_goes_on_where_it_stopped(hub: FakeHub, tmp_path: Path) -> None:
    name = "model-00001-of-00002.safetensors"
    block = 10 * 2**20  # what the client writes at once
    hub.files[name] = os.urandom(block + 3000)
    hub.cuts[name] = block + 1000
    ran = fetch(hub, tmp_path / "into")
    assert ran.returncode == DownloadError.exit_code
    assert "what arrived is kept and the next run goes on from there" in ran.stderr
    assert fetching.read(tmp_path / "into") is None
    assert fetch(hub, tmp_path / "into").returncode == 0
    assert hub.ranges[name] == [None, f"bytes={block}-"]
    assert (tmp_path / "into" / name).read_bytes() == hub.files[name]


def test_a_hub_that_stops_answering_half_way_is_no_success(hub: FakeHub, tmp_path: Path) -> None:
    assert fetch(hub, tmp_path / "into", "--file=config.json").returncode == 0
    hub.num_descriptions = 1  # one for the hashes; the client asks for another
    ran = fetch(hub, tmp_path / "into")
    assert ran.returncode == DownloadError.exit_code
    assert "stopped answering before `model-00001-of-00002.safetensors`" in ran.stderr
    assert (tmp_path / "into" / "config.json").read_bytes() == FILES["config.json"]


def test_a_branch_that_moved_on_is_not_followed(hub: FakeHub, tmp_path: Path) -> None:
    fetch(hub, tmp_path / "into", "--file=config.json")
    hub.asked.clear()
    assert fetch(hub, tmp_path / "into").returncode == 0
    assert hub.asked[0] == f"/api/models/{NAME}/revision/{COMMIT}"


def test_another_content_than_the_hub_describes_is_refused(hub: FakeHub, tmp_path: Path) -> None:
    hub.sent["model-00002-of-00002.safetensors"] = b"y" * 2000
    ran = fetch(hub, tmp_path / "into")
    assert ran.returncode == DownloadError.exit_code
    assert "is not the file that the hub describes" in ran.stderr
    assert not (tmp_path / "into" / "model-00002-of-00002.safetensors").exists()
    assert fetching.read(tmp_path / "into") is None


def test_a_needed_file_that_is_not_there_is_named(hub: FakeHub, tmp_path: Path) -> None:
    ran = fetch(hub, tmp_path / "into", "--file=config.json", "--file=vocab.json")
    assert ran.returncode == DownloadError.exit_code
    assert "has no `vocab.json`, which is needed" in ran.stderr
    assert not any("resolve" in path for path in hub.asked)


def test_too_small_a_disk_is_found_before_anything_is_fetched(hub: FakeHub, tmp_path: Path) -> None:
    ran = fetch(hub, tmp_path / "into", *WANTED, "--room=1000000000")
    assert ran.returncode == DownloadError.exit_code
    assert "MiB free, wanted" in ran.stderr
    assert not any("resolve" in path for path in hub.asked)


def test_an_unknown_repository_and_a_silent_hub_are_said(hub: FakeHub, tmp_path: Path) -> None:
    ran = fetch(hub, tmp_path / "a", name="someone/else")
    assert ran.returncode == DownloadError.exit_code
    assert "Hugging Face has no `someone/else` at `main`" in ran.stderr
    hub.server_close()
    ran = fetch(hub, tmp_path / "b")
    assert ran.returncode == DownloadError.exit_code
    assert "could not be fetched from http://127.0.0.1" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("refusal", [(401, "GatedRepo"), (403, "GatedRepo"), (403, ""), (401, "")])
@pytest.mark.parametrize("token", ["", "hf_notaccepted"])
def test_a_gated_repository_says_how_to_get_in(
    hub: FakeHub, tmp_path: Path, refusal: tuple[int, str], token: str
) -> None:
    hub.token, hub.refusal = "hf_accepted", refusal
    ran = fetch(hub, tmp_path / "into", token=token)
    assert ran.returncode == DownloadError.exit_code
    said = " ".join(ran.stderr.split())
    assert (
        f"accept its terms at {hub.url}/{NAME}, make a token at {hub.url}/settings/tokens" in said
    )
    assert (
        f"gated ({refusal[0]}; {'the token that is set is not' if token else 'no token is'}" in said
    )
    assert "hf_" not in said  # whatever is set, nobody reads it in a log
    assert "Traceback" not in said
    assert fetching.read(tmp_path / "into") is None


def test_a_gated_repository_is_fetched_with_a_token(hub: FakeHub, tmp_path: Path) -> None:
    hub.token = "hf_accepted"
    ran = fetch(hub, tmp_path / "into", token="hf_accepted")
    assert ran.returncode == 0, ran.stderr
    written = [one for one in tmp_path.rglob("*") if one.is_file()]
    assert written
    assert not any(b"hf_accepted" in one.read_bytes() for one in written)


def test_a_hash_that_this_project_states_is_what_counts(hub: FakeHub, tmp_path: Path) -> None:
    right = hashlib.sha256(FILES["config.json"]).hexdigest()
    wanted = ("--file=config.json", "--file=tokenizer.json", f"--sha256=config.json={right}")
    assert fetch(hub, tmp_path / "right", *wanted).returncode == 0
    hub.files["config.json"] = b"[]"  # the hub states and sends another: it is not the hub
    ran = fetch(hub, tmp_path / "wrong" / "into", *wanted)
    assert ran.returncode == DownloadError.exit_code
    assert f"wanted `{right}`" in ran.stderr
    assert not (tmp_path / "wrong" / "into" / "config.json").exists()


def test_what_came_first_is_wanted_again_when_the_directory_has_gone(
    hub: FakeHub, tmp_path: Path
) -> None:
    into = tmp_path / hub_lock.CHECKPOINTS / "into"
    assert fetch(hub, into).returncode == 0
    lock = tmp_path / hub_lock.FILENAME
    entry = hub_lock.read(lock, NAME, "main")
    assert entry is not None
    assert entry.commit == COMMIT
    assert entry.sha256["config.json"] == hashlib.sha256(b"{}").hexdigest()
    shutil.rmtree(into.parent)
    hub.asked.clear()
    assert fetch(hub, into).returncode == 0
    assert hub.asked[0] == f"/api/models/{NAME}/revision/{COMMIT}"  # not what `main` is now
    shutil.rmtree(into.parent)
    hub.files["config.json"] = b"[]"
    ran = fetch(hub, into)
    assert ran.returncode == DownloadError.exit_code
    assert "which it had when it was fetched first" in ran.stderr
    assert str(lock) in ran.stderr
    assert not (into / "config.json").exists()
    lock.unlink()  # as it says
    assert fetch(hub, into).returncode == 0


def test_a_lock_that_nobody_can_read_trusts_nothing(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / hub_lock.FILENAME).write_text("[{]")
    ran = fetch(hub, tmp_path / "into")
    assert ran.returncode == DownloadError.exit_code
    assert "downloads.lock` cannot be read" in ran.stderr
    assert not any("resolve" in path for path in hub.asked)
