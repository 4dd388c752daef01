"""The journal of an output folder: which stems are complete, and from what and how they were made.

Every song has a record of its own, a small JSON file below ``.stemsplit/journal`` that is only ever replaced
as a whole. Any number of processes and machines can therefore share an output folder, and a run that resumes
reads the records of its own songs only.

A record is written twice: before the stems of the song get their names, and after. Both times it holds the
size, the modification time and the SHA-256 of every stem, which renaming does not change. A run that was
killed in between thus leaves a record of the stems that are its own and may be replaced, and a foreign file
with the name of a stem is recognised.

Earlier versions kept one file of JSON lines, ``.stemsplit-journal.jsonl``; it is still read.
"""

import contextlib
import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from stemsplit.errors import OutputError
from stemsplit.jobs.output_folder import LocalFolder, Mark, OutputFolder

FOLDER: Final = ".stemsplit"
OLD_FILE: Final = ".stemsplit-journal.jsonl"
_RECORDS: Final = f"{FOLDER}/journal"
_HEAD_BYTES: Final = 1 << 16
_NAME_DIGITS: Final = 32

# the models of a stem, as results describe them
Models = Sequence[Mapping[str, Any]]


def hash_values(values: Mapping[str, Any]) -> str:
    """Return the SHA-256 of `values`, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def identify_file(path: Path) -> dict[str, Any]:
    """Return what distinguishes one version of a file from another: size, modification time, first bytes.

    Raises
    ------
    OSError
        If the file cannot be read or is not a regular file: opening a named pipe would block.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    with path.open("rb", buffering=0) as file:
        state = os.fstat(file.fileno())
        head = hashlib.sha256(file.read(_HEAD_BYTES)).hexdigest()
    return {"size": state.st_size, "mtime_ns": state.st_mtime_ns, "head": head}


def has_journal(names: Iterable[str]) -> bool:
    """Return whether a folder with the entries `names` has a journal."""
    return not {FOLDER, OLD_FILE}.isdisjoint(names)


class SourceRecord(msgspec.Struct, frozen=True):
    """A song when its stems were made: see `identify_file`, and the SHA-256 of its content."""

    identity: dict[str, Any]
    digest: str


class StemRecord(msgspec.Struct, frozen=True):
    """The state of one stem; `marks` are those of all files that may have its name, newest last."""

    key: str
    is_done: bool
    marks: tuple[Mark, ...]
    source: SourceRecord | None = None


class SongRecord(msgspec.Struct, frozen=True):
    """The record of one song: its name in the output folder, and its stems by their paths in it.

    `names` has what became of names that were planned before the song was analysed: the path, or nothing if
    the song has no such file.
    """

    song: str
    stems: dict[str, StemRecord]
    models: list[dict[str, Any]] = []
    names: dict[str, str] = {}


class Journal:
    """The journal of `folder`; safe to use from several threads and processes.

    Songs are named by a path in the folder that no other song has, see `stemsplit.jobs.plan.Job`.

    Parameters
    ----------
    folder
        The output folder; it is created with the first record.

    Raises
    ------
    OutputError
        If a record cannot be read or written.
    """

    def __init__(self, folder: Path | OutputFolder) -> None:
        self._storage = LocalFolder(folder) if isinstance(folder, Path) else folder
        self._folder = self._storage.path
        self._prefix = os.path.join(self._folder, "")  # noqa: PTH118 - with a separator at its end
        with _converting_errors(self._folder / OLD_FILE):
            self._old = _parse_old_journal(self._storage.read(OLD_FILE) or b"")

    def list_files(self) -> set[Path]:
        """Return every file that stemsplit wrote in the folder, or was about to."""
        names = {name for record in self._read_all() for name in record.stems}
        return {self._folder / name for name in names | self._old.keys()}

    def owns(self, song: str, path: Path) -> bool:
        """Return whether `path` is as stemsplit wrote it, so that it may be replaced."""
        return bool(self.find_owned(song, [path]))

    def find_owned(self, song: str, paths: Collection[Path]) -> frozenset[Path]:
        """Return those of `paths` that are as stemsplit wrote them, so that they may be replaced."""
        stems = self._find(song, paths)
        return frozenset(path for path in paths if self._is_own(stems.get(self._name(path)), path))

    def _is_own(self, stem: StemRecord | None, path: Path) -> bool:
        return stem is not None and any(self._storage.has_mark(path, mark) for mark in stem.marks)

    def is_done(
        self,
        song: str,
        outputs: Mapping[str, Path],
        is_current: Callable[[StemRecord], bool],
        marks: Mapping[Path, Mark] | None = None,
    ) -> bool:
        """Return whether all `outputs` were completed, are current and still have their size.

        `is_current`, which reads the song, is called only if they are in the journal. The `marks` of the
        files as they are now are looked up if they are not given.
        """
        stems = self._find(song, outputs.values())
        if len(stems) < len(outputs) or not all(stem.is_done for stem in stems.values()):
            return False
        present = self._storage.find_marks(outputs.values()) if marks is None else marks
        return all(
            is_current(stem) and _has_size(stem, present.get(path))
            for path in outputs.values()
            if (stem := stems[self._name(path)])
        )

    def begin(
        self,
        song: str,
        key: str,
        outputs: Mapping[str, Path],
        parts: Mapping[str, Path],
        *,
        models: Models = (),
        source: SourceRecord | None = None,
        names: Mapping[Path, Path | None] | None = None,
    ) -> None:
        """Record that `parts`, made from `source` by `models`, are about to get the names of `outputs`.

        `names` has, by the planned path, the path that each file got whose name depends on the analysis, and
        None for files that the song does not have.
        """
        before = self._find(song, outputs.values())
        stems = {}
        for stem, path in outputs.items():
            name = self._name(path)
            # until the song is done, an earlier file may still have the name
            earlier = before[name].marks if name in before else ()
            marks = (*earlier, self._storage.mark_part(parts[stem]))
            stems[name] = StemRecord(key, False, marks, source)
        found = {
            self._name(planned): self._name(path) if path else "" for planned, path in (names or {}).items()
        }
        self._write(song, stems, models, found)

    def find_names(self, song: str) -> dict[Path, Path | None]:
        """Return what became of planned paths of a song: the path of the file, or None if there is none."""
        record = self._read(_name_record(song))
        names = {} if record is None else record.names
        return {
            self._folder / planned: self._folder / name if name else None for planned, name in names.items()
        }

    def finish(
        self,
        song: str,
        key: str,
        outputs: Mapping[str, Path],
        *,
        models: Models = (),
        source: SourceRecord | None = None,
    ) -> None:
        """Record that `outputs` are complete, made from `source` by `models`."""
        begun = self._find(song, outputs.values())
        stems = {}
        for path in outputs.values():
            name = self._name(path)
            mark = self._storage.find_mark(path)
            known = [] if mark is None else [*(begun[name].marks if name in begun else ()), mark]
            # the mark of the part has the digest of the content, too
            kept = next((each for each in known if each.is_alike(known[-1])), None)
            stems[name] = StemRecord(key, True, () if kept is None else (kept,), source)
        self._write(song, stems, models)

    def _name(self, path: Path) -> str:
        """Return `path` relative to the folder, so that the folder can be moved."""
        name = os.fspath(path)
        if name.startswith(self._prefix):
            return name[len(self._prefix) :].replace(os.sep, "/")
        return path.relative_to(self._folder).as_posix()

    def _find(self, song: str, paths: Iterable[Path]) -> dict[str, StemRecord]:
        """Return the records of those of `paths` that are in the journal, by their names."""
        record = self._read(_name_record(song))
        stems = {} if record is None else record.stems
        names = map(self._name, paths)
        return {name: stem for name in names if (stem := stems.get(name) or self._old.get(name)) is not None}

    def _read_all(self) -> Iterator[SongRecord]:
        with _converting_errors(self._folder / _RECORDS):
            names = [name for name in self._storage.list_files(_RECORDS) if name.endswith(".json")]
        for name in names:
            if (record := self._read(name)) is not None:
                yield record

    def _read(self, name: str) -> SongRecord | None:
        """Return a record; None if there is none, or the file is not valid."""
        with _converting_errors(self._prefix + name):
            content = self._storage.read(name)
        if content is None:
            return None
        try:
            return msgspec.json.decode(content, type=SongRecord)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def _write(
        self,
        song: str,
        stems: Mapping[str, StemRecord],
        models: Models,
        names: Mapping[str, str] | None = None,
    ) -> None:
        """Update the record of a song; other stems in it, of an earlier run, stay."""
        name = _name_record(song)
        before = self._read(name) or SongRecord(song, {})
        record = SongRecord(
            song,
            {**before.stems, **stems},
            [dict(model) for model in models],
            {**before.names, **(names or {})},
        )
        with _converting_errors(self._folder / name):
            self._storage.write(name, msgspec.json.encode(record))


def _has_size(stem: StemRecord, mark: Mark | None) -> bool:
    # not the modification time, which copying the folder may change: nothing is replaced here
    return mark is not None and bool(stem.marks) and mark.size == stem.marks[-1].size


def _name_record(song: str) -> str:
    digits = hashlib.sha256(song.encode("utf-8", "surrogateescape")).hexdigest()[:_NAME_DIGITS]
    return f"{_RECORDS}/{digits[:2]}/{digits[2:]}.json"


@contextlib.contextmanager
def _converting_errors(path: Path | str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{path}: the journal cannot be read or written: {error.strerror}; check the folder's permissions"
        ) from error


def _parse_old_journal(content: bytes) -> dict[str, StemRecord]:
    """Return the stems in the JSON lines of earlier versions, by their paths in the output folder."""
    stems: dict[str, StemRecord] = {}
    for line in content.split(b"\n"):
        # a line that is torn or foreign is ignored; its song is separated again
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            record = json.loads(line)
            marks = {name: Mark(**mark) for name, mark in record["outputs"].items()}
            is_done = record["event"] == "done"
            for name, mark in marks.items():
                earlier = stems[name].marks if name in stems and not is_done else ()
                stems[name] = StemRecord(record["key"], is_done, (*earlier, mark))
    return stems
