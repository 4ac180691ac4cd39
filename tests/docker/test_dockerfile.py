"""The images are built from the pin, from what is committed, and keep out of NVIDIA's Python."""

from __future__ import annotations

import fnmatch
import os
import re
import subprocess
import sys
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement

from build_scripts import container
from build_scripts.errors import InstallError
from tests.docker.conftest import DOCKER, ROOT, tool

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def stage(dockerfile: str, name: str) -> str:
    match = re.search(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", dockerfile, re.M | re.S)
    assert match, f"no stage {name}"
    return match[1]


def test_the_pin_stands_here_alone(dockerfile):
    image = "${TRITON_IMAGE}:${TRITON_TAG}${TRITON_DIGEST:+@${TRITON_DIGEST}}"
    assert f"FROM {image} AS nvidia" in dockerfile
    assert dockerfile.count(container.TAG) == 1
    assert "TRITON_" not in (DOCKER / "compose.yml").read_text()  # nor is it given from there
    assert re.fullmatch(r"sha256:[0-9a-f]{64}|", container.arguments()["TRITON_DIGEST"])
    assert container.REFERENCE.startswith("nvcr.io/nvidia/tritonserver")


def test_a_newer_pin_is_one_line(tmp_path):
    text = (DOCKER / "Dockerfile").read_text()
    other = next(tag for tag in container.RELEASES if tag != container.TAG)
    (tmp_path / "Dockerfile").write_text(
        text.replace(f"TRITON_TAG={container.TAG}", f"TRITON_TAG={other}")
    )
    found = container.arguments(tmp_path / "Dockerfile")
    assert found == {**container.arguments(), "TRITON_TAG": other}
    assert container.release(found["TRITON_TAG"]) == container.RELEASES[other]
    refused = r"pins `26\.09-x`, known are 25\.10.*docs/gpu/engines\.md"
    with pytest.raises(InstallError, match=refused):
        container.release("26.09-x")


def test_the_digest_goes_before_the_tag():
    assert container.reference("image", "tag", "") == "image:tag"
    assert container.reference("image", "tag", "sha256:1") == "image@sha256:1"


@pytest.mark.parametrize("name", ["serve", "cpu", "gateway"])
def test_nothing_runs_as_root(dockerfile, name):
    last = [line for line in stage(dockerfile, name).splitlines() if line][-6:]
    assert re.findall(r"^USER (\S+)$", stage(dockerfile, name), re.M) == ["1000:1000"], last


def test_build_adds_nothing_to_serve(dockerfile):
    assert "FROM serve AS build" in dockerfile
    assert not re.search(r"^(USER|RUN|COPY|ENV)", stage(dockerfile, "build"), re.M)


def test_our_packages_never_touch_nvidias(dockerfile):
    """Every pip of a stage on NVIDIA's image installs into .venv, and PATH stays NVIDIA's."""
    installs = re.findall(r"pip3?\b[^&\n]*\binstall", stage(dockerfile, "environment"))
    assert installs
    assert all("--python .venv/bin/python" in install for install in installs)
    assert "--system-site-packages" not in dockerfile
    assert not re.search(r"^ENV .*\b(PATH|LD_LIBRARY_PATH)=", dockerfile, re.M)


def test_what_is_left_out_of_the_lock_is_one_package_with_its_hashes(dockerfile):
    (script,) = re.findall(r"sed '([^']+)' requirements.lock", dockerfile)
    lock = (ROOT / "requirements.lock").read_text()
    ran = subprocess.run(["sed", script], input=lock, capture_output=True, text=True, check=True)
    names = re.compile(r"^([a-z0-9._-]+)==", re.M)
    left_out = [one for one in names.findall(lock) if one not in set(names.findall(ran.stdout))]
    assert left_out == ["pocketsphinx"]
    assert lock.count("--hash=") > ran.stdout.count("--hash=")
    assert not re.search(r"[^\\]\n +--hash", ran.stdout)  # no hash without its package


def test_the_gateway_has_what_it_needs_of_the_lock(dockerfile):
    (script,) = re.findall(r"awk '([^']+)' gateway-packages requirements.lock", dockerfile)
    files = [str(DOCKER / "gateway-packages"), str(ROOT / "requirements.lock")]
    ran = subprocess.run(["awk", script, *files], capture_output=True, text=True, check=True)
    names = re.findall(r"^([a-z0-9._-]+)==", ran.stdout, re.M)
    assert set(names) == needed("gateway")
    assert not re.search(r"[^\\]\n +--hash", ran.stdout)  # no hash without its package
    assert len(re.findall(r"^\S+==.*\n +--hash=", ran.stdout, re.M)) == len(names)


def needed(extra: str) -> set[str]:
    """What onecard with this extra installs, by names as a lock writes them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    todo = [*project["dependencies"], *project["optional-dependencies"][extra]]
    found: dict[str, set[str]] = {}
    while todo:
        one = Requirement(todo.pop())
        known = found.get(one.name)
        if known is not None and one.extras <= known:
            continue
        found[one.name] = {*(known or ()), *one.extras}
        extras = [{"extra": name} for name in one.extras or {""}]
        for text in requires(one.name) or ():
            marker = Requirement(text).marker
            if marker is None or any(map(marker.evaluate, extras)):
                todo.append(text)
    return {re.sub(r"[-_.]+", "-", name).lower() for name in found}


def test_the_pinned_torch_is_found(dockerfile):
    (pattern,) = set(re.findall(r"grep -oE '([^']+)' pyproject.toml", dockerfile))
    command = ["grep", "-oE", pattern, str(ROOT / "pyproject.toml")]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert re.fullmatch(r"torch==\d+\.\d+\.\d+", ran.stdout.splitlines()[0])


def test_the_context_has_what_images_need_and_no_more():
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    kept = [rule[1:] for rule in rules if rule.startswith("!")]
    assert rules[rules.index("*") :][1].startswith("!")
    assert {"build_scripts", "onecard", "model_repository", "plans", "docker"} <= set(kept)
    for name in (".git", ".venv", "engines", ".samples", "tests"):
        assert not any(fnmatch.fnmatch(name, one) for one in kept)
    for name in kept:
        assert name == "docs/measured" or (ROOT / name).exists(), name
    locks = {path.name for path in ROOT.glob("requirements*.lock")}
    assert {"pyproject.toml", *locks} <= set(kept)
    for name in (".dockerignore", ".gitignore"):  # the token of whoever builds stays there
        rules = (ROOT / name).read_text().splitlines()
        assert {"**/.env", "/docker/.env"} & set(rules), name


def test_every_file_of_pips_has_a_hash_but_for_what_the_build_says(dockerfile):
    installs = re.findall(r"pip3?[^&;\n]*\binstall\b[^&;\n]*", dockerfile)
    unpinned = [one for one in installs if "--require-hashes" not in one]
    assert len(installs) - len(unpinned) >= 6
    assert len(unpinned) == 1
    assert "--report .venv/torch.json" in unpinned[0]  # what was taken is written down
    branch = dockerfile.partition("; else ")[2].partition(" fi")[0]
    assert unpinned[0].strip() in branch
    assert "torch is not pinned by hash: make lock INDEX=" in branch


def test_images_that_move_under_their_tags_are_named_by_digest(dockerfile):
    digest = r"@sha256:[0-9a-f]{64}"
    assert re.search(rf"^ARG PYTHON_IMAGE=python:3\.11-slim-bookworm{digest}$", dockerfile, re.M)
    compose = (DOCKER / "compose.yml").read_text()
    foreign = [one for one in re.findall(r"image: (\S+)", compose) if not one.endswith(":local")]
    assert foreign
    assert all(re.search(f"{digest}$", one) for one in foreign)


@pytest.mark.parametrize("base", ["nvidia", "debian"])
def test_a_user_without_a_passwd_entry_has_a_name_and_a_cache(dockerfile, base):
    given = dict(re.findall(r'(\w+)="?([^" ]*)"?', stage(dockerfile, base).partition("ENV ")[2]))
    assert given["USER"] == given["LOGNAME"] == "onecard"
    assert given["TORCHINDUCTOR_CACHE_DIR"].startswith("/tmp/")
    assert given["HOME"] == "/tmp"
    # What torch's inductor asks for its cache's name (torch/_inductor/runtime/cache_dir_utils.py).
    script = "import getpass, os; os.setuid(12345); print(getpass.getuser())"
    if os.getuid() == 0:
        ran = subprocess.run(
            [sys.executable, "-c", script], env=given, capture_output=True, text=True
        )
        assert ran.stdout.strip() == "onecard", ran.stderr


def test_the_builders_umask_does_not_matter(dockerfile, tmp_path):
    """Every stage that takes the checkout makes it readable; and what it runs does that."""
    takers = re.findall(r"^COPY \. \.\n(RUN .*)$", dockerfile, re.M)
    assert len(takers) == len(re.findall(r"^COPY \. ", dockerfile, re.M)) == 2
    for number, run in enumerate(takers):
        folder = tmp_path / str(number)
        (folder / ".venv" / "bin").mkdir(parents=True, mode=0o700)
        for name, mode in (("plan.toml", 0o600), ("entrypoint", 0o700), (".venv/bin/x", 0o700)):
            (folder / name).touch()
            (folder / name).chmod(mode)
        (change,) = re.findall(r"(?:chmod -R|find) [^&]*", run)
        subprocess.run(["sh", "-ec", change], cwd=folder, check=True)
        assert (folder / "plan.toml").stat().st_mode & 0o777 == 0o644
        assert (folder / "entrypoint").stat().st_mode & 0o777 == 0o755


def test_hadolint():
    ran = subprocess.run([tool("hadolint"), DOCKER / "Dockerfile"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


def test_shellcheck():
    ran = subprocess.run(
        [tool("shellcheck"), DOCKER / "entrypoint"], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout
