"""The user's models: a folder for each, ``<name>/model.toml`` beside its files, whole or not there at all.

A model is put together in a hidden folder beside its place and renamed when it has been tried; it is taken
away the other way round. To replace one takes two renames: a run that is killed between them leaves
neither, never half of one.
"""

import contextlib
import itertools
import os
import re
import shutil
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

from stemsplit.did_you_mean import unknown_name
from stemsplit.errors import ModelError, SettingsError
from stemsplit.files.atomic import explaining
from stemsplit.files.leftovers import is_running, remove_leftovers
from stemsplit.files.names import MAX_NAME_BYTES, clean_name
from stemsplit.files.user_dirs import models_folder
from stemsplit.registry.record import FILE_NAME

_HIDDEN = re.compile(r"\.(\d+)-\d+\.part")
_counter = itertools.count()
_in_use: set[str] = set()


def check_model_name(name: str) -> str:
    """Return `name` if it can be the name of a model: of a folder on any disk, and not that of a file.

    Raises
    ------
    SettingsError
        If it cannot.
    """
    if clean_name(name) != name or len(name.encode()) > MAX_NAME_BYTES:
        raise SettingsError(f"{name!r} cannot be the name of a model; use a plain word, without slashes")
    if Path(name).suffix in {".onnx", ".toml"}:
        raise SettingsError(f"{name!r} cannot be the name of a model: it would be taken for a file")
    return name


class Registry:
    """The models of one folder.

    Parameters
    ----------
    folder
        None for the user's, see `stemsplit.files.user_dirs.models_folder`; it is made with the first model.
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        self.folder = models_folder(folder)

    def names(self) -> list[str]:
        """Return the names of all models, sorted.

        Raises
        ------
        ModelError
            If the folder cannot be read.
        """
        try:
            found = list(self.folder.iterdir()) if self.folder.exists() else []
        except OSError as error:
            raise ModelError(f"{self.folder}: the models cannot be read: {error.strerror}") from error
        return sorted(
            unicodedata.normalize("NFC", each.name)
            for each in found
            if not each.name.startswith(".") and (each / FILE_NAME).is_file()
        )

    def __contains__(self, name: str) -> bool:
        return name in self.names()

    def path(self, name: str) -> Path:
        """Return the ``model.toml`` of the model `name`.

        Raises
        ------
        SettingsError
            If there is none; the nearest name is proposed.
        """
        names = self.names()
        if name not in names:
            raise unknown_name(f"there is no model {name!r} in {self.folder}", name, names)
        return self.folder / name / FILE_NAME

    def check_free(self, name: str, *, overwrite: bool) -> Path:
        """Return the folder that the model `name` will have.

        Raises
        ------
        SettingsError
            If the name cannot be one, or is taken and `overwrite` is not set.
        """
        place = self.folder / check_model_name(name)
        if os.path.lexists(place) and not overwrite:
            raise SettingsError(
                f"there is a model {name!r} already; use --overwrite to replace it, or another --name"
            )
        return place

    def put(self, name: str, fill: Callable[[Path], None], *, overwrite: bool = False) -> Path:
        """Make the model `name` of what `fill` writes into an empty folder; return its ``model.toml``.

        Nothing appears if `fill` raises.

        Raises
        ------
        SettingsError
            If the name cannot be one, or is taken and `overwrite` is not set.
        OutputError
            If the folder cannot be written.
        """
        place = self.check_free(name, overwrite=overwrite)
        with self._hidden() as made:
            fill(made)
            assert (made / FILE_NAME).is_file()
            with self._hidden() as old, explaining(place):
                replaced = old / "replaced"
                if overwrite and os.path.lexists(place):
                    place.rename(replaced)
                try:
                    self._place(made, place)
                except BaseException:
                    with contextlib.suppress(OSError):  # there was none
                        replaced.rename(place)
                    raise
        return place / FILE_NAME

    def remove(self, name: str) -> None:
        """Take the model `name` away.

        Raises
        ------
        SettingsError
            If there is none.
        OutputError
            If the folder cannot be written.
        """
        place = self.path(name).parent
        with self._hidden() as old, explaining(place):
            place.rename(old / "removed")

    def _place(self, made: Path, place: Path) -> None:
        try:
            made.rename(place)
        except OSError:
            self.check_free(place.name, overwrite=False)  # made by somebody else meanwhile
            raise

    @contextlib.contextmanager
    def _hidden(self) -> Iterator[Path]:
        """Make a hidden folder, and remove what is still there in the end."""
        hidden = self.folder / f".{os.getpid()}-{next(_counter)}.part"
        with explaining(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self.folder, _HIDDEN, is_left=self._is_left)
        _in_use.add(hidden.name)
        try:
            with explaining(self.folder):
                hidden.mkdir()
            yield hidden
        finally:
            shutil.rmtree(hidden, ignore_errors=True)
            _in_use.discard(hidden.name)

    @staticmethod
    def _is_left(folder: Path, match: "re.Match[str]") -> bool:
        """Tell whether the run that made a hidden folder is over; in a container its number may be ours."""
        pid = int(match[1])
        return folder.name not in _in_use and (pid == os.getpid() or not is_running(pid))
