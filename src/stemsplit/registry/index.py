"""The list of models that can be fetched by name: a TOML file that the user writes.

A table for each model says where it is and what it must be; what a description says may stand there too,
so that the model can be run at once::

    [umxhq]
    family = "open-unmix"
    graphs = { vocals = "vocals.onnx", drums = "drums.onnx" }
    licence = "MIT"
    commercial = true
    urls = { "vocals.onnx" = "https://...", "drums.onnx" = ["https://...", "https://mirror..."] }
    sha256 = { "vocals.onnx" = "...", "drums.onnx" = "..." }

A model of one file may have ``url`` and a plain ``sha256``.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

from stemsplit.did_you_mean import unknown_name
from stemsplit.errors import ModelError, SettingsError
from stemsplit.files import user_dirs
from stemsplit.files.schema import convert
from stemsplit.files.toml import read_tables
from stemsplit.models.description import Description
from stemsplit.models.description_file import parse_description
from stemsplit.registry.urls import check_url, name_of_url

FILE_NAME = "models.toml"
# what may be said of a file that describes itself
_LICENSING = ("licence", "commercial")


@dataclass(frozen=True)
class RemoteFile:
    """One file of a model: where it is to be had, and its hash if that is known."""

    name: str
    urls: tuple[str, ...]
    sha256: str | None


@dataclass(frozen=True)
class RemoteModel:
    """A model to be fetched; `description` is None if its file describes itself.

    `stated` is what the list says of the licence of such a file, to be held against the file.
    """

    name: str
    files: tuple[RemoteFile, ...]
    description: Description | None
    stated: Mapping[str, Any]


def find_remote(name: str, index: Path | None = None) -> RemoteModel:
    """Return the model `name` of a list (None: of the user's).

    Raises
    ------
    SettingsError
        If there is no list, or no such model in it; the nearest name is proposed. Also if an address or a
        hash is not written as it must be.
    ModelError
        If the list cannot be read, or what it says of the model is invalid.
    """
    path = index or user_dirs.config_folder() / FILE_NAME
    if not path.exists():
        raise SettingsError(
            f"{path} does not exist, so {name!r} is known from nowhere; write that list, "
            "name one with --index, or give an address"
        )
    tables = read_tables(path)
    if name not in tables:
        raise unknown_name(f"{path} lists no model {name!r}", name, tables)
    try:
        return _parse(name, dict(tables[name]))
    except (ModelError, SettingsError) as error:
        raise type(error)(f"{path}: {name}: {error}") from error


@dataclass(frozen=True)
class _Addresses:
    """What an entry of a list says of its files."""

    url: str | tuple[str, ...] | None = None
    urls: Mapping[str, str | tuple[str, ...]] | None = None
    sha256: str | Mapping[str, str] | None = None


def _parse(name: str, values: dict[str, Any]) -> RemoteModel:
    own = {field.name for field in fields(_Addresses)}
    files = _read_files(convert({key: each for key, each in values.items() if key in own}, _Addresses))
    described = {key: each for key, each in values.items() if key not in own}
    if not set(described) - set(_LICENSING):
        return RemoteModel(name, files, None, described)
    description = parse_description({"name": name, **described})
    missing = sorted(set(description.files) - {file.name for file in files})
    if missing:
        raise ModelError(f"urls says nothing of {', '.join(missing)}")
    return RemoteModel(name, files, description, {})


def _read_files(entry: _Addresses) -> tuple[RemoteFile, ...]:
    if (entry.url is None) == (entry.urls is None):
        raise ModelError("say where the files are, once: url = '...', or urls = { FILE = '...' }")
    if entry.url is not None:
        addresses = _check_addresses("url", entry.url)
        urls = {name_of_url(addresses[0]): addresses}
    else:
        urls = {_check_file(name): _check_addresses(name, each) for name, each in (entry.urls or {}).items()}
        if not urls:
            raise ModelError("urls is empty; it must be a table of files and addresses")
    hashes = entry.sha256 or {}
    if isinstance(hashes, str):
        if entry.url is None:
            raise ModelError("sha256 is one hash; with urls it must be a table of files and hashes")
        hashes = dict.fromkeys(urls, hashes)
    _check_hashed(hashes, urls)
    return tuple(
        RemoteFile(name, each, check_sha256(hashes[name]) if name in hashes else None)
        for name, each in urls.items()
    )


def _check_file(name: str) -> str:
    is_plain = PurePosixPath(name).name == name and name not in {"", ".", ".."} and name.isprintable()
    if not is_plain or "\\" in name or ":" in name:
        raise ModelError(f"the file name {name!r} leads out of the model's folder; use a plain name")
    return name


def _check_addresses(name: str, value: str | tuple[str, ...]) -> tuple[str, ...]:
    addresses = (value,) if isinstance(value, str) else value
    if not addresses:
        raise ModelError(f"{name}: has no address")
    for each in addresses:
        check_url(each)
    return addresses


def _check_hashed(hashes: Mapping[str, str], names: Collection[str]) -> None:
    """Refuse a hash of a file that there is not: the file that it was meant for would come unpinned."""
    unknown = next((name for name in hashes if name not in names), None)
    if unknown is not None:
        raise ModelError(
            f"sha256 names {unknown!r}, which is no file to be fetched; there are {', '.join(names)}"
        )


def check_sha256(value: Any) -> str:
    """Return `value` if it is a SHA-256 in hexadecimal.

    Raises
    ------
    SettingsError
        If it is not.
    """
    if not isinstance(value, str) or len(value) != 64 or set(value.lower()) - set("0123456789abcdef"):
        raise SettingsError(f"{value!r} is no SHA-256; it has 64 hexadecimal digits")
    return value.lower()
