"""Why a request is refused: each reason with its HTTP status."""

from collections.abc import Mapping
from typing import ClassVar

from stemsplit.errors import StemsplitError


class RefusedError(StemsplitError):
    """A request that cannot be granted, whatever the song is."""

    status: ClassVar[int] = 400
    headers: ClassVar[Mapping[str, str]] = {}


class ForeignHostError(RefusedError):
    """The request was sent to a name that is not this computer's."""


class PasswordError(RefusedError):
    """The password is missing or wrong."""

    status = 401
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": 'Bearer realm="stemsplit"'}


class TooManyAttemptsError(RefusedError):
    """Too many wrong passwords have come from one address."""

    status = 429
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "60"}


class ForeignOriginError(RefusedError):
    """Another site's page wants to change something."""

    status = 403


class NoSuchSongError(RefusedError):
    """There is no song, or no stem of it, under this address, or not any more."""

    status = 404


class SlowUploadError(RefusedError):
    """An upload has stopped on its way."""

    status = 408


class NotSeparatedError(RefusedError):
    """The song has no stems, or not yet."""

    status = 409


class RepeatedUploadError(RefusedError):
    """An ``Idempotency-Key`` comes a second time, for something else or too early."""

    status = 409


class TooLargeError(RefusedError):
    """A song, or the rest of its form, has more bytes than are taken."""

    status = 413


class UnsupportedBodyError(RefusedError):
    """The body of an upload is neither a song nor a form."""

    status = 415
    headers: ClassVar[Mapping[str, str]] = {
        "Accept": "audio/*, video/*, application/octet-stream, multipart/form-data"
    }


class BusyError(RefusedError):
    """Too many songs are waiting."""

    status = 503
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "30"}
