"""A plan: what one card (or none) runs and with which numbers; the only file an operator edits.

It knows how a plan is written and what is wrong with one; it knows nothing of Triton's syntax.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from build_scripts.errors import PlanError

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib  # type: ignore[no-redef]

PLANS = Path("plans")
DEFAULT_PLAN = "cpu"  # its configuration is the config.pbtxt; others are configs/<plan>.pbtxt


@dataclass(frozen=True)
class ModelPlan:
    """How one model is served.

    `parameters` become config.pbtxt's `parameters` of the same names.
    """

    name: str
    max_batch_size: int = 1
    instances: int = 1
    max_queue_size: int | None = None
    max_queue_delay_us: int | None = None
    default_timeout_us: int | None = None
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoints:
    """What the engines are made of.

    `llm`: "embedded", or the path of a GGUF file; `llm_engine`: what runs it, `openvino` or
    `llama.cpp`.
    """

    llm: str
    llm_engine: str


@dataclass(frozen=True)
class Plan:
    """`checkpoints`: None where the engines are not made here."""

    name: str
    models: dict[str, ModelPlan]
    checkpoints: Checkpoints | None = None


def names() -> list[str]:
    return sorted(path.stem for path in PLANS.glob("*.toml"))


def load(name: str) -> Plan:
    """The plan `plans/<name>.toml`.

    Raises:
        PlanError: no such plan, not TOML, or an unknown or ill-typed key.
    """
    path = PLANS / f"{name}.toml"
    if not path.is_file():
        raise PlanError(f"no plan `{name}`; there are: {', '.join(names())}")
    try:
        found = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise PlanError(f"{path} is not TOML ({error}); mend it") from error
    _verify_keys(path, "the top", found, ["models", "checkpoints"])
    models = {key: _model(path, key, value) for key, value in found["models"].items()}
    return Plan(name, models, _checkpoints(path, found.get("checkpoints")))


def _checkpoints(path: Path, found: dict[str, Any] | None) -> Checkpoints | None:
    if found is None:
        return None
    known = list(Checkpoints.__dataclass_fields__)
    _verify_keys(path, "checkpoints", found, known)
    for key in known:
        if not isinstance(found.get(key), str):
            raise PlanError(f"{path}: checkpoints.{key} is `{found.get(key)}`, must be a string")
    return Checkpoints(**found)


def _model(path: Path, name: str, found: dict[str, Any]) -> ModelPlan:
    known = [key for key in ModelPlan.__dataclass_fields__ if key != "name"]
    _verify_keys(path, f"models.{name}", found, known)
    for key, value in found.items():
        if key != "parameters" and (isinstance(value, bool) or not isinstance(value, int)):
            raise PlanError(f"{path}: models.{name}.{key} is `{value!r}`, must be a whole number")
    parameters = {key: _text(value) for key, value in found.get("parameters", {}).items()}
    return ModelPlan(name, **{**found, "parameters": parameters})


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _verify_keys(path: Path, where: str, found: dict[str, Any], known: list[str]) -> None:
    for key in found:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1) or known
            raise PlanError(f"{path}: unknown key `{key}` in {where}; known: {', '.join(near)}")
