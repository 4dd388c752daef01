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
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from stemsplit.did_you_mean import unknown_name
from stemsplit.errors import ModelError, SettingsError
from stemsplit.files import user_dirs
from stemsplit.files.toml import read_tables
from stemsplit.models.description import Description, parse_description
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
        If the list cannot be read, or what it says of the model makes no sense.
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


def _parse(name: str, values: dict[str, Any]) -> RemoteModel:
    files = _parse_files(values.pop("url", None), values.pop("urls", None), values.pop("sha256", None))
    if not set(values) - set(_LICENSING):
        return RemoteModel(name, files, None, values)
    description = parse_description({"name": name, **values})
    missing = sorted(set(description.files) - {file.name for file in files})
    if missing:
        raise ModelError(f"urls says nothing of {', '.join(missing)}")
    return RemoteModel(name, files, description, {})


def _parse_files(url: Any, urls: Any, sha256: Any) -> tuple[RemoteFile, ...]:
    if (url is None) == (urls is None):
        raise ModelError("say where the files are, once: url = '...', or urls = { FILE = '...' }")
    if url is not None:
        (first, *_) = addresses = _parse_addresses("url", url)
        name = name_of_url(first)
        hashes = {name: sha256} if isinstance(sha256, str) else sha256 or {}
        _check_hashed(hashes, {name})
        return (RemoteFile(name, addresses, _parse_hash(hashes, name)),)
    if not isinstance(urls, dict) or not urls or not isinstance(sha256 or {}, dict):
        raise ModelError("urls and sha256 must be tables, of files and addresses, of files and hashes")
    _check_hashed(sha256 or {}, urls)
    return tuple(
        RemoteFile(_check_file(name), _parse_addresses(name, each), _parse_hash(sha256 or {}, name))
        for name, each in urls.items()
    )


def _check_file(name: str) -> str:
    is_plain = PurePosixPath(name).name == name and name not in {"", ".", ".."} and name.isprintable()
    if not is_plain or "\\" in name or ":" in name:
        raise ModelError(f"the file name {name!r} leads out of the model's folder; use a plain name")
    return name


def _parse_addresses(name: str, value: Any) -> tuple[str, ...]:
    addresses = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else ()
    if not addresses or not all(isinstance(each, str) for each in addresses):
        raise ModelError(f"{name}: {value!r} is no address, nor a list of them")
    for each in addresses:
        check_url(each)
    return addresses


def _check_hashed(hashes: Any, names: Collection[str]) -> None:
    """Refuse a hash of a file that there is not: the file that it was meant for would come unpinned."""
    unknown = next((name for name in hashes if name not in names), None) if isinstance(hashes, dict) else None
    if unknown is not None:
        raise ModelError(
            f"sha256 names {unknown!r}, which is no file to be fetched; there are {', '.join(names)}"
        )


def _parse_hash(hashes: Any, name: str) -> str | None:
    found = hashes.get(name) if isinstance(hashes, dict) else hashes
    if found is None:
        return None
    return check_sha256(found)


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
