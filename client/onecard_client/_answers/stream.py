"""Iterators over a running answer that keep what is not an item, and cancel it when they are
closed.
"""

from __future__ import annotations

from collections import deque
from types import AsyncGeneratorType, GeneratorType, TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")
S = TypeVar("S", bound="Stream[Any]")


class Stream(Generic[T]):
    """Events on one side, items of type T on the other."""

    def __init__(self, events: Any) -> None:
        self._events = events
        self._waiting: deque[T] = deque()

    def _take(self, event: Any) -> T | None:
        """The item in `event`; None for an event that is only kept, or whose items wait."""
        raise NotImplementedError

    def _cancel(self) -> None:
        """The caller closed the stream before its end."""


class BlockingStream(Stream[T]):
    """A stream for `for` loops; also a context manager that closes it."""

    _events: GeneratorType[Any, None, None]

    def __iter__(self: S) -> S:
        return self

    def __next__(self) -> T:
        while not self._waiting:
            item = self._take(next(self._events))
            if item is not None:
                return item
        return self._waiting.popleft()

    def close(self) -> None:
        """Ends the request; the server stops working on it. Does nothing at the end."""
        self._waiting.clear()
        if self._events.gi_frame is not None:
            self._events.close()
            self._cancel()

    def __enter__(self: S) -> S:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncStream(Stream[T]):
    """A stream for `async for` loops; also an asynchronous context manager that closes it."""

    _events: AsyncGeneratorType[Any, None]

    def __aiter__(self: S) -> S:
        return self

    async def __anext__(self) -> T:
        while not self._waiting:
            item = self._take(await anext(self._events))
            if item is not None:
                return item
        return self._waiting.popleft()

    async def close(self) -> None:
        """Ends the request; the server stops working on it. Does nothing at the end."""
        self._waiting.clear()
        if self._events.ag_frame is not None:
            await self._events.aclose()
            self._cancel()

    aclose = close  # the name that `contextlib.aclosing` wants

    async def __aenter__(self: S) -> S:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
