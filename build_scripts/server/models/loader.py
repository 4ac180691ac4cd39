"""Loads models one after the other, where a server is not to load them side by side.

A KV-cache pool is sized from the memory that is free while its engine loads, so who loads when
decides who gets what.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable

from build_scripts.errors import ServerError
from build_scripts.server.api import Api
from build_scripts.server.launch import Launch
from onecard.contract import pipeline

LOAD_TIMEOUT_S = 900.0  # an engine of 13 GiB from a slow disk


class Loader:
    """Loads all models of a launch but its first, which the server itself has loaded.

    Args:
        on_loaded: called with each model, the first one too; may raise ServerError.
    """

    def __init__(self, api: Api, launch: Launch, on_loaded: Callable[[str], None]) -> None:
        self._api = api
        self._launch = launch
        self._on_loaded = on_loaded
        self._error: Exception | None = None
        self._thread: threading.Thread | None = None

    def is_done(self) -> bool:
        """Whether everything is loaded; begins with it at the first call.

        Raises ServerError where a model does not load.
        """
        if not self._launch.is_ordered:
            return True
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        if self._thread.is_alive():
            return False
        if self._error is not None:
            raise self._error
        return True

    def _run(self) -> None:
        try:
            first, *engines = self._launch.load_first
            self._on_loaded(first)
            for model in engines:
                self._load(model)
            for model in self._rest():
                self._load(model)
        except Exception as error:
            self._error = error

    def _rest(self) -> list[str]:
        """The models in the order to load them: the ensemble last, since it needs its steps."""
        wanted = self._launch.models or tuple(self._api.states())
        left = sorted(set(wanted) - {*self._launch.load_first, *self._launch.on_demand})
        return sorted(left, key=lambda model: model == pipeline.ENSEMBLE)

    def _load(self, model: str) -> None:
        try:
            self._api.load(model, LOAD_TIMEOUT_S)
        except (OSError, http.client.HTTPException) as error:
            raise ServerError(f"model `{model}` could not be loaded ({error})") from error
        self._on_loaded(model)
