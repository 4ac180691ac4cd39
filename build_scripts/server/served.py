"""What one server serves: the plan fitted to its card, how it is launched, and its repository."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from build_scripts import arguments, paths
from build_scripts.errors import ServerError
from build_scripts.memory.deployment import Deployment, resolve
from build_scripts.model_repository import render
from build_scripts.server import launch
from build_scripts.server.launch import Launch
from build_scripts.server.settings import Settings
from onecard.contract import pipeline


@dataclass(frozen=True)
class Served:
    """One server's plan, and the Triton that serves it."""

    deployment: Deployment
    launch: Launch


def read(
    settings: Settings,
    say: Callable[[str], None],
    environment: Mapping[str, str] = os.environ,
) -> Served:
    """Resolve the plan of the settings. Raises PlanError or ServerError."""
    if not settings.repository.is_dir():
        raise ServerError(f"`{settings.repository}` is not a directory, wanted a model repository")
    deployment = resolve(settings.plan, settings.vram_gib, environment, say)
    if settings.repository != paths.MODEL_REPOSITORY:
        _verify_as_stated(settings, deployment)
    further = (whisper.engine for whisper in deployment.plan.whispers[1:])
    models = tuple(sorted({*_models(settings.repository), *further}))
    on_demand = _on_demand(settings, deployment)
    found = launch.launch(deployment.plan, models, settings.part, on_demand=on_demand)
    return Served(deployment, found)


def _verify_as_stated(settings: Settings, deployment: Deployment) -> None:
    """Raises ServerError for an amount of memory or a KV cap that a foreign repository ignores."""
    if settings.vram_gib is not None or deployment.is_overridden:
        what = "a knob of the KV caches" if settings.vram_gib is None else arguments.VARIABLE
        raise ServerError(
            f"{what} is turned, and `{settings.repository}` is served as it stands: leave it out, "
            f"or serve {paths.MODEL_REPOSITORY.name}/, of which a copy is rendered"
        )


def repository_of(settings: Settings, served: Served, say: Callable[[str], None]) -> Path:
    """The repository to serve: the one of the settings, or a copy in the server's run directory.

    It is a copy if the files are not what the plan renders: the memory or a KV cap is another, or
    the plan was edited or is new (Triton would serve config.pbtxt, another plan's, in silence).
    """
    if settings.repository != paths.MODEL_REPOSITORY:
        return settings.repository
    deployment = served.deployment
    texts = render.render(deployment)
    if all(_is_as(settings.repository / path, text) for path, text in texts.items()):
        return settings.repository
    copy = settings.run / "repository"
    if deployment.plan.name not in render.COMMITTED:
        say(f"configurations of plan {deployment.plan.name} are rendered into {copy}")
    elif settings.vram_gib is None and not deployment.is_overridden:
        say(
            f"{settings.repository.name}/ is not what plan {deployment.plan.name} renders, so a "
            "copy that is gets served; `make repository` writes it"
        )
    for change in deployment.cap_changes:
        say(change)
    render.write_copy(texts, copy)
    return copy


def _is_as(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def _on_demand(settings: Settings, deployment: Deployment) -> tuple[str, ...]:
    """The engines that are loaded on demand; a foreign repository says itself which these are."""
    if settings.repository == paths.MODEL_REPOSITORY:
        return tuple(whisper.engine for whisper in deployment.plan.on_demand)
    folder = settings.repository / "recognize"
    path = folder / "configs" / f"{settings.plan}.pbtxt"
    path = path if path.is_file() else folder / "config.pbtxt"
    if not path.is_file():
        return ()
    try:
        config = text_format.Parse(path.read_text(encoding="utf-8"), pb.ModelConfig())
    except (text_format.ParseError, UnicodeDecodeError):
        return ()  # Triton says what is wrong with it
    return pipeline.on_demand(config.parameters[pipeline.ON_DEMAND].string_value)


def _models(directory: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in directory.iterdir() if path.is_dir()))
