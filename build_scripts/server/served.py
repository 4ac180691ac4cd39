"""What one server serves: the plan fitted to its card, how it is launched, and its repository."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from build_scripts import arguments, paths
from build_scripts.errors import ServerError
from build_scripts.memory import fit
from build_scripts.memory import kv_cache as knobs
from build_scripts.model_repository import render
from build_scripts.plans.schema import Plan
from build_scripts.server import launch
from build_scripts.server.launch import Launch
from build_scripts.server.settings import Settings


@dataclass(frozen=True)
class Served:
    """`knobs`: of both engines, as they are served."""

    plan: Plan
    launch: Launch
    knobs: knobs.Knobs


def read(
    server: Settings,
    say: Callable[[str], None],
    environment: Mapping[str, str] = os.environ,
) -> Served:
    """What `server` is to serve. Raises PlanError or ServerError."""
    if not server.repository.is_dir():
        raise ServerError(f"`{server.repository}` is not a directory, wanted a model repository")
    plan = fit.load(server.plan, say, server.vram_gib)
    found = launch.launch(plan, _models(server.repository), server.part)
    turned = knobs.overridden(plan, environment)
    if server.repository != paths.MODEL_REPOSITORY:
        _verify_unturned(server, turned == knobs.knobs(plan))
    return Served(plan, found, turned)


def _verify_unturned(server: Settings, is_usual: bool) -> None:
    """Raises ServerError for a dial or knobs that a foreign repository would not hear of."""
    if server.vram_gib is not None or not is_usual:
        what = "a knob of the KV caches" if server.vram_gib is None else arguments.VARIABLE
        raise ServerError(
            f"{what} is turned, and `{server.repository}` is served as it stands: leave it out, "
            f"or serve {paths.MODEL_REPOSITORY.name}/, of which a copy is rendered"
        )


def repository_of(server: Settings, served: Served, say: Callable[[str], None]) -> Path:
    """The repository to serve: the one of the settings, or a copy of it below the server's run
    directory, where its files are not what the plan renders: the dial or knobs were turned, the
    plan was edited, or is new (Triton would serve config.pbtxt, another plan's, without a word)."""
    if server.repository != paths.MODEL_REPOSITORY:
        return server.repository
    texts = render.render(served.plan, served.knobs)
    if all(_is_as(server.repository / path, text) for path, text in texts.items()):
        return server.repository
    usual = knobs.knobs(served.plan)
    copy = server.run / "repository"
    if served.plan.name not in render.COMMITTED:
        say(f"configurations of plan {served.plan.name} are rendered into {copy}")
    elif server.vram_gib is None and served.knobs == usual:
        say(
            f"{server.repository.name}/ is not what plan {served.plan.name} renders, so a copy "
            "that is gets served; `make repository` writes it"
        )
    for engine, values in served.knobs.items():
        for name, value in values.items():
            if value != usual[engine][name]:
                say(f"{engine}: {name} is {value} instead of {usual[engine][name]}")
    render.write_copy(texts, copy)
    return copy


def _is_as(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def _models(directory: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in directory.iterdir() if path.is_dir()))
