"""The models that can be fetched by name: the package's catalogue, and a list that the user writes.

Both are TOML files of one form, and the user's counts first. A table for each model says where it is and what
it must be; what a description says may stand there too, so that the model can be run at once::

    [umxhq]
    family = "open-unmix"
    graphs = { vocals = "vocals.onnx", drums = "drums.onnx" }
    licence = "MIT"
    commercial = true
    urls = { "vocals.onnx" = "https://...", "drums.onnx" = ["https://...", "https://mirror..."] }
    sha256 = { "vocals.onnx" = "...", "drums.onnx" = "..." }

A model of one file may have ``url`` and a plain ``sha256``; so may one whose files lie in an ``archive``
(``.zip``, ``.tar.bz2``), in place of the ``url``. What helps to choose may be added: ``sizes`` of
the files in bytes, other names as ``aliases``, the published ``quality`` (for the choice of the best,
``sdr_db`` by stem) and a class of ``speed``.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Final, Literal

from stemsplit.did_you_mean import unknown_name
from stemsplit.errors import ModelError, SettingsError
from stemsplit.files import user_dirs
from stemsplit.files.schema import between, convert
from stemsplit.files.toml import read_tables
from stemsplit.models.description import Description
from stemsplit.models.description_file import parse_description
from stemsplit.models.licence import UNKNOWN, Commercial
from stemsplit.registry.urls import ARCHIVE_SUFFIXES, check_url, is_archive, name_of_url

FILE_NAME: Final = "models.toml"
CATALOGUE: Final = Path(__file__).with_name("catalogue.toml")
# what may be said of a file that describes itself
_LICENSING = ("licence", "commercial")


@dataclass(frozen=True)
class RemoteFile:
    """One file of a model: its addresses, and its hash and size in bytes if they are known."""

    name: str
    urls: tuple[str, ...]
    sha256: str | None
    size: int | None = None


@dataclass(frozen=True)
class RemoteModel:
    """A model to be fetched; `description` is None if its file describes itself.

    `stated` is what the list says of the licence of such a file, to be compared with the file.
    """

    name: str
    files: tuple[RemoteFile, ...]
    description: Description | None
    stated: Mapping[str, Any]
    aliases: tuple[str, ...] = ()
    quality: str = ""
    speed: str = "unknown"
    sdr_db: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_archive(self) -> bool:
        """Whether the one file holds those of the description."""
        return len(self.files) == 1 and is_archive(self.files[0].name)

    @property
    def size(self) -> int | None:
        """Bytes of all files; None if one is unknown."""
        sizes = [file.size for file in self.files if file.size is not None]
        return sum(sizes) if len(sizes) == len(self.files) else None

    @property
    def licence(self) -> str:
        """As the list states it."""
        return self.description.licence if self.description else str(self.stated.get("licence", UNKNOWN))

    @property
    def commercial(self) -> Commercial:
        """As the list states it."""
        return self.description.commercial if self.description else self.stated.get("commercial", UNKNOWN)


def find_remote(name: str, index: Path | None = None) -> RemoteModel:
    """Return the model `name` of a list; without one, of the user's list and then of the catalogue.

    Raises
    ------
    SettingsError
        If there is no such list, or no such model in it; the nearest name is proposed. Also if an address or
        a hash is not written as it must be.
    ModelError
        If a list cannot be read, or what it says of the model is invalid.
    """
    if index is not None and not index.exists():
        raise SettingsError(f"{index} does not exist; name with --index the list that has {name!r}")
    known: list[str] = []
    for path in [index] if index is not None else _lists():
        tables = read_tables(path)
        if name in tables:
            return _read_entry(path, name, tables[name])
        known += tables
    found = None if index is not None else find_in_catalogue(name)
    if found is None:
        place = f"{index} lists" if index is not None else "neither your list nor the catalogue has"
        raise unknown_name(f"{place} {'no ' if index is not None else 'a '}model {name!r}", name, known)
    return found


def find_in_catalogue(name: str) -> RemoteModel | None:
    """Return the model of the catalogue with this name or alias; None if there is none."""
    folded = name.casefold()
    for key, table in read_tables(CATALOGUE).items():
        if folded in {each.casefold() for each in (key, *table.get("aliases", ()))}:
            return _read_entry(CATALOGUE, key, table)
    return None


def list_remote() -> list[RemoteModel]:
    """Return every model that can be fetched by name, those of the user's list first.

    Raises
    ------
    ModelError, SettingsError
        If a list cannot be read, or an entry is invalid.
    """
    found: dict[str, RemoteModel] = {}
    for path in _lists():
        for name, table in read_tables(path).items():
            if name not in found:
                found[name] = _read_entry(path, name, table)
    return list(found.values())


def list_catalogue() -> list[RemoteModel]:
    """Return every model of the package's catalogue."""
    return [_read_entry(CATALOGUE, name, table) for name, table in read_tables(CATALOGUE).items()]


def _lists() -> list[Path]:
    own = user_dirs.config_folder() / FILE_NAME
    return [own, CATALOGUE] if own.exists() else [CATALOGUE]


def _read_entry(path: Path, name: str, table: Mapping[str, Any]) -> RemoteModel:
    try:
        return _parse(name, dict(table))
    except (ModelError, SettingsError) as error:
        raise type(error)(f"{path}: {name}: {error}") from error


@dataclass(frozen=True)
class _Entry:
    """What an entry of a list says beside the description."""

    url: str | tuple[str, ...] | None = None
    archive: str | tuple[str, ...] | None = None
    urls: Mapping[str, str | tuple[str, ...]] | None = None
    sha256: str | Mapping[str, str] | None = None
    sizes: Mapping[str, Annotated[int, between(1, 2**40)]] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    quality: str = ""
    speed: Literal["fast", "slow", "very slow", "unknown"] = "unknown"
    sdr_db: Mapping[str, float] = field(default_factory=dict)


def _parse(name: str, values: dict[str, Any]) -> RemoteModel:
    own = {each.name for each in fields(_Entry)}
    entry = convert({key: each for key, each in values.items() if key in own}, _Entry)
    files = _read_files(entry)
    hints = (entry.aliases, entry.quality, entry.speed, entry.sdr_db)
    described = {key: each for key, each in values.items() if key not in own}
    if not set(described) - set(_LICENSING) and entry.archive is None:
        return RemoteModel(name, files, None, described, *hints)
    description = parse_description({"name": name, **described})
    model = RemoteModel(name, files, description, {}, *hints)
    missing = [] if model.is_archive else sorted(set(description.files) - {file.name for file in files})
    if missing:
        raise ModelError(f"urls says nothing of {', '.join(missing)}")
    return model


def _read_files(entry: _Entry) -> tuple[RemoteFile, ...]:
    if sum(each is not None for each in (entry.url, entry.urls, entry.archive)) != 1:
        raise ModelError(
            "say where the files are, once: url = '...', urls = { FILE = '...' }, or archive = '...'"
        )
    if entry.url is not None:
        addresses = _check_addresses("url", entry.url)
        urls = {name_of_url(addresses[0]): addresses}
    elif entry.archive is not None:
        addresses = _check_addresses("archive", entry.archive)
        urls = {name_of_url(addresses[0], ARCHIVE_SUFFIXES): addresses}
    else:
        urls = {_check_file(name): _check_addresses(name, each) for name, each in (entry.urls or {}).items()}
        if not urls:
            raise ModelError("urls is empty; it must be a table of files and addresses")
    hashes = entry.sha256 or {}
    if isinstance(hashes, str):
        if entry.urls is not None:
            raise ModelError("sha256 is one hash; with urls it must be a table of files and hashes")
        hashes = dict.fromkeys(urls, hashes)
    _check_hashed(hashes, urls)
    return tuple(
        RemoteFile(name, each, check_sha256(hashes[name]) if name in hashes else None, entry.sizes.get(name))
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
