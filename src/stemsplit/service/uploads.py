"""The body of an upload: the bytes of a song, bare or in a form, as they come from the network."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from stemsplit.errors import SettingsError
from stemsplit.service.errors import SlowUploadError, TooLargeError, UnsupportedBodyError

FORM_BYTES: Final = 200_000  # of a form, beside the song in it
_MAX_FIELD_BYTES: Final = 10_000
_BARE: Final = {"", "application/octet-stream", "application/x-www-form-urlencoded", "application/ogg"}


class FormReader:
    """Takes a form (``multipart/form-data``) apart while it comes: the bytes of its one file, and its fields.

    Parameters
    ----------
    boundary
        What stands between its parts.

    Attributes
    ----------
    fields : list of tuple of str
        Name and value of each field that has come, in their order.
    file_name : str or None
        What the client calls its file; None as long as there is none.
    """

    def __init__(self, boundary: bytes) -> None:
        self.fields: list[tuple[str, str]] = []
        self.file_name: str | None = None
        self._n_other_bytes = 0
        self._audio = bytearray()
        self._header = bytearray()
        self._headers: dict[str, bytes] = {}
        self._header_name = ""
        self._value = bytearray()
        self._name = ""
        self._is_file = False
        self._is_whole = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._headers.clear,
                "on_header_field": self._read_header,
                "on_header_value": self._read_header_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._begin_part,
                "on_part_data": self._read_part,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
        )

    def feed(self, data: bytes) -> bytes:
        """Take in more of the body, and return what of the file is in it.

        Raises
        ------
        SettingsError
            If it is no such form, holds two files, or a field that is too long.
        TooLargeError
            If what is not the file is more than `FORM_BYTES`.
        """
        self._audio.clear()
        try:
            self._parser.write(data)
        except MultipartParseError as error:
            raise SettingsError(f"the form cannot be read ({error}); send it as curl -F does") from error
        self._n_other_bytes += len(data) - len(self._audio)
        if self._n_other_bytes > FORM_BYTES:
            raise TooLargeError(f"the fields of the form have more than {FORM_BYTES} bytes; send fewer")
        return bytes(self._audio)

    def finish(self) -> None:
        """Make sure that the form is whole and holds a file.

        Raises
        ------
        SettingsError
            If not.
        """
        if not self._is_whole:
            raise SettingsError("the form breaks off; send it again")
        if self.file_name is None:
            raise SettingsError("the form holds no file; add one, like curl -F file=@song.mp3")

    def _read_header(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end].decode("latin-1").lower()

    def _read_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._header_name] = bytes(self._header)
        self._header_name = ""
        self._header.clear()

    def _begin_part(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", b""))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._value.clear()
        self._is_file = b"filename" in options
        if not self._is_file:
            return
        if self.file_name is not None:
            raise SettingsError("the form holds two files; send one song at a time")
        self.file_name = options[b"filename"].decode("utf-8", "replace")

    def _read_part(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._audio += data[start:end]
            return
        self._value += data[start:end]
        if len(self._value) > _MAX_FIELD_BYTES:
            raise SettingsError(f"the field {self._name!r} is too long")

    def _end_part(self) -> None:
        if not self._is_file:
            self.fields.append((self._name, self._value.decode("utf-8", "replace")))

    def _end(self) -> None:
        self._is_whole = True


def open_form(content_type: str) -> FormReader | None:
    """Return what reads a body of this type; None where the body is the song itself.

    Raises
    ------
    UnsupportedBodyError
        If it can be neither.
    """
    kind, options = parse_options_header(content_type)
    name = kind.decode("latin-1")
    if name == "multipart/form-data" and options.get(b"boundary"):
        return FormReader(options[b"boundary"])
    if name in _BARE or name.startswith(("audio/", "video/")):
        return None
    raise UnsupportedBodyError(
        f"a body of the type {name!r} is not understood; send the song itself (curl --data-binary @song.mp3) "
        "or a form (curl -F file=@song.mp3)"
    )


async def read_body(request: Request, *, patience_s: float) -> AsyncIterator[bytes]:
    """Yield the body of a request, as long as it comes.

    Raises
    ------
    SlowUploadError
        If nothing has come for `patience_s`.
    """
    body = request.stream()
    try:
        while True:
            async with asyncio.timeout(patience_s):
                data = await anext(body)
            yield data
    except StopAsyncIteration:
        return
    except TimeoutError as error:
        raise SlowUploadError("the upload has stopped on its way; send the file again") from error
