"""Forms with a recording and fields, in the spellings that applications use."""

from __future__ import annotations

import errno
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from onecard_gateway import ignored
from onecard_gateway.errors import Refusal
from onecard_gateway.speech.uploads import Upload, Uploads

MAX_FIELDS = 64
MAX_FIELD_BYTES = 3 * 2**20  # held in memory; a reference of a speaker is the longest
MAX_FILES = 20
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
_MAX_SHOWN = 80
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Fields:
    """Fields by name, where `name[]` is `name`; those that nobody asked for are `ignored`."""

    def __init__(self, items: Iterable[tuple[str, Any]]) -> None:
        self._found: dict[str, list[Any]] = {}
        self._asked: set[str] = set()
        for name, value in items:
            self._found.setdefault(name.removesuffix("[]"), []).append(value)

    @property
    def ignored(self) -> list[str]:
        return [name for name in self._found if name not in self._asked]

    def headers(self) -> dict[str, str]:
        """A header that names the ignored ones, if there are any."""
        return ignored.headers(self.ignored)

    def text(self, name: str) -> str | None:
        """The last value; None for an empty one, which is how forms say nothing."""
        given = [value for value in self.texts(name) if value]
        return given[-1] if given else None

    def texts(self, name: str) -> list[str]:
        """Every value, in order."""
        self._asked.add(name)
        return [value for value in self._found.get(name, ()) if isinstance(value, str)]

    def number(self, name: str) -> float | None:
        """Raises Refusal for a value that is no number."""
        text = self.text(name)
        try:
            return None if text is None else float(text)
        except ValueError as error:
            raise wrong(name, text, "a number") from error

    def whole(self, name: str) -> int | None:
        """Raises Refusal for a value that is no whole number."""
        text = self.text(name)
        try:
            return None if text is None else int(text)
        except ValueError as error:
            raise wrong(name, text, "a whole number") from error

    def flag(self, name: str) -> bool | None:
        """Raises Refusal for a value that is neither true nor false."""
        text = self.text(name)
        if text is None or text.lower() in _TRUE:
            return None if text is None else True
        if text.lower() not in _FALSE:
            raise wrong(name, text, "`true` or `false`")
        return False

    def choice(self, name: str, allowed: Iterable[str], default: str) -> str:
        """Raises Refusal for a value that is not allowed."""
        text = self.text(name) or default
        if text not in allowed:
            raise wrong(name, text, f"one of {', '.join(allowed)}")
        return text

    def file(self, name: str) -> UploadFile:
        """The one file of that name. Raises Refusal for none, several, and a text in its place."""
        self._asked.add(name)
        found = self._found.get(name, [])
        if len(found) == 1 and isinstance(found[0], UploadFile):
            return found[0]
        what = "is missing" if not found else f"is there {len(found)} times"
        if len(found) == 1:
            what = "has no file name, and so is a text"
        raise Refusal(400, f"`{name}` {what}, must be one file; send the recording as a file", name)


class WrongValue(Refusal):
    """The refusal of a field by itself, whatever other fields there are."""


def wrong(name: str, text: str | None, wanted: str) -> WrongValue:
    """The refusal of a field."""
    shown = (text or "")[:_MAX_SHOWN]
    return WrongValue(
        400, f"`{name}` is `{shown}`, must be {wanted}; correct it or leave it out", name
    )


class Coming(MultiPartParser):
    """A form that is being read.

    Attributes:
        items: fields, and files that are whole.
        files: those that have begun, by name.
    """

    def __init__(self, request: Request, stream: AsyncGenerator[bytes, None]) -> None:
        super().__init__(
            request.headers,
            stream,
            max_files=MAX_FILES,
            max_fields=MAX_FIELDS,
            max_part_size=MAX_FIELD_BYTES,
        )
        self._query = request.query_params.multi_items()
        self.files: dict[str, UploadFile] = {}

    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        part = self._current_part
        if part.file is not None:
            self.files.setdefault(part.field_name, part.file)

    @property
    def has_fields(self) -> bool:
        """Whether a field has come, or a query."""
        return bool(self._query) or any(isinstance(value, str) for _, value in self.items)

    def fields(self) -> Fields:
        """What has come of them, and the query, whose names come first."""
        return Fields([*self._query, *self.items])

    def has_all_of(self, file: UploadFile) -> bool:
        return any(value is file for _, value in self.items)


Look = Callable[[Coming], Awaitable[None]]


class Form:
    """A form that has come, with its files on disk where they are larger than a megabyte."""

    def __init__(self, data: FormData, fields: Fields, upload: Upload) -> None:
        self._data = data
        self._upload = upload
        self.fields = fields

    async def close(self) -> None:
        """Deletes its files."""
        try:
            await self._data.close()
        finally:
            self._upload.end()


async def read_form(request: Request, look: Look | None = None) -> Form:
    """The whole form of a request, and its query, whose names come first.

    Args:
        look: called with what has come whenever it is more; what it raises ends the reading.

    Raises:
        Refusal: the body is of another kind, or is no form, or there is no room for it.
        ClientDisconnect: its sender left before the end.
    """
    _verify_kind(request)
    stated = stated_bytes(request)
    uploads: Uploads = request.app.state.uploads
    upload = uploads.begin(stated)

    async def chunks() -> AsyncGenerator[bytes, None]:
        async for chunk in request.stream():
            upload.grow(len(chunk))
            yield chunk
            if look is not None:  # files have all of the chunk by now
                await look(coming)

    try:
        async with aclosing(chunks()) as stream:
            coming = Coming(request, stream)
            data = await coming.parse()
    except BaseException as error:
        upload.end()
        if isinstance(error, MultiPartException):
            raise Refusal(400, error.message) from error
        if isinstance(error, OSError) and error.errno in _NO_SPACE:
            text = f"the upload cannot be kept ({error.strerror}); have the disk looked at"
            raise Refusal(507, text, code="insufficient_storage") from error
        raise
    return Form(data, coming.fields(), upload)


def stated_bytes(request: Request) -> int:
    """How long a body says to be; 0 where it says nothing."""
    stated = request.headers.get("content-length", "")
    return int(stated) if stated.isdecimal() else 0


def _verify_kind(request: Request) -> None:
    kind, _, rest = request.headers.get("content-type", "").partition(";")
    kind = kind.strip().lower()
    if kind != "multipart/form-data":
        raise Refusal(
            415,
            f"the content type is `{kind[:_MAX_SHOWN]}`, must be multipart/form-data; send the "
            "recording as a file of a form",
        )
    if "boundary=" not in rest.lower():
        raise Refusal(
            400,
            "the content type has no `boundary`, must have the one between the parts of the form; "
            "leave the header to the library that makes the form",
        )
