"""Addresses of files: checked in one place, before any server is asked."""

from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from stemsplit.errors import SettingsError

ARCHIVE_SUFFIXES: Final = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_SCHEMES: Final = ("https", "http", "file")


def is_url(text: str) -> bool:
    """Tell whether `text` is an address, of whatever kind."""
    return "://" in text or text.startswith("file:")


def is_archive(name: str) -> bool:
    """Tell from the name of a file whether it is an archive."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def check_url(url: str) -> None:
    """Make sure that `url` is an address that can be asked for.

    Raises
    ------
    SettingsError
        If it is of another kind than https, http and file, names no server, or is not written as it must be.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SettingsError(f"{url}: is no address: {error}; check how it is written") from error
    if parts.scheme not in _SCHEMES:
        raise SettingsError(f"{url}: cannot be fetched; an address begins with https://, http:// or file://")
    if parts.scheme == "file":
        return
    if not parts.hostname or port == 0:
        raise SettingsError(f"{url}: is no address: it names no server; check how it is written")
    wrong = next((letter for letter in url if not "!" <= letter <= "~"), None)
    if wrong is not None:
        raise SettingsError(
            f"{url}: is no address: it holds {wrong!r}; write it as a browser copies it, a blank as %20"
        )


def name_of_url(url: str, suffixes: tuple[str, ...] = (".onnx",)) -> str:
    """Return the file name at the end of an address.

    Raises
    ------
    SettingsError
        If it is no address (see `check_url`), or not that of a file with one of `suffixes`.
    """
    check_url(url)
    name = PurePosixPath(unquote(urlsplit(url).path)).name
    suffix = next((each for each in suffixes if name.lower().endswith(each)), "")
    if not suffix or "\\" in name or len(name) == len(suffix) or not name.isprintable():
        raise SettingsError(
            f"{url}: must end in the name of a file, such as model{' or model'.join(suffixes)}"
        )
    return name
