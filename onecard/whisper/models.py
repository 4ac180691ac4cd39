"""The Whispers of a server: their names, where each of them is, and which one a request means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from onecard.errors import InvalidRequest, named

T = TypeVar("T")


@dataclass(frozen=True)
class Config:
    """Parameters of config.pbtxt."""

    speech_models: str  # names with commas between; a request that names none means the first


@dataclass(frozen=True)
class Models(Generic[T]):
    """What there is of each Whisper, by the name that a request gives; the first is the usual."""

    each: Mapping[str, T]

    @property
    def usual(self) -> str:
        """The one of a request that names none."""
        return next(iter(self.each))

    def of(self, model: str | None) -> T:
        """Raises InvalidRequest for a name that there is not."""
        if model is None:
            return self.each[self.usual]
        if model not in self.each:
            raise InvalidRequest(
                f"option `model` is {named(model)}, this server has {', '.join(self.each)}; choose "
                f"one of them, or leave `model` out for `{self.usual}`"
            )
        return self.each[model]


def load(config: Config, make: Callable[[str, str], T]) -> Models[T]:
    """What `make` makes of each Whisper's name, and of what its engine has behind the first one's.

    Raises what `make` does.
    """
    first, *others = config.speech_models.split(",")
    behind = {first: "", **{name: f"_{name}" for name in others}}
    return Models({name: make(name, suffix) for name, suffix in behind.items()})
