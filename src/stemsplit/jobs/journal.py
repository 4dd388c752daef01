"""The journal of an output folder: which stems were finished, from what and how.

One JSON object a line, only ever appended to. A song writes two: ``begun`` when its stems are whole but
without their names, ``done`` when they have them. Both hold the size and the time of change of every stem,
which a new name leaves as they are. So a run that is killed in between leaves a witness of which stems are
its own and may be replaced, and a file that took the place of a stem is told from it. A torn last line is
passed over.
"""

import contextlib
import errno
import hashlib
import json
import os
import stat
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stemsplit.errors import OutputError

FILE_NAME = ".stemsplit-journal.jsonl"
_HEAD_BYTES = 1 << 16

# what is to be known of each model of a stem, for whoever asks later
Models = Sequence[Mapping[str, Any]]


def hash_values(values: Mapping[str, Any]) -> str:
    """Return the SHA-256 of `values`, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def identify_file(path: Path) -> dict[str, Any]:
    """Return what tells one version of a file from another: size, time of change, its beginning.

    Raises
    ------
    OSError
        If the file cannot be read, or is none: to open a named pipe would wait for whoever writes to it.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    with path.open("rb") as file:
        state = os.fstat(file.fileno())
        head = hashlib.sha256(file.read(_HEAD_BYTES)).hexdigest()
    return {"size": state.st_size, "mtime_ns": state.st_mtime_ns, "head": head}


@dataclass(frozen=True)
class _Mark:
    """What tells a stem from another file of its name."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> "_Mark":
        state = path.lstat()
        return cls(state.st_size, state.st_mtime_ns)


@dataclass(frozen=True)
class _Entry:
    """The latest word on one name: `marks` are of all files of ours that may stand there, the newest last."""

    key: str
    is_done: bool
    marks: tuple[_Mark, ...]


class Journal:
    """The journal of `folder`. Safe to use from several threads.

    Parameters
    ----------
    folder : Path
        The output folder; it is created with the first line.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self._folder = folder
        self._lock = threading.Lock()
        self._latest: dict[str, _Entry] = {}
        self._read()

    @property
    def files(self) -> set[Path]:
        """Every file that stemsplit wrote here, or was about to."""
        return {self._folder / name for name in self._latest}

    def owns(self, path: Path) -> bool:
        """Tell whether `path` is as stemsplit wrote it, so that it may be replaced."""
        entry = self._latest.get(self._name(path))
        with contextlib.suppress(OSError):
            return entry is not None and _Mark.of(path) in entry.marks
        return False

    def is_done(self, key: str, outputs: Mapping[str, Path]) -> bool:
        """Tell whether all `outputs` were last finished under `key` and are still there at their size."""
        return all(self._is_current(key, path) for path in outputs.values())

    def begin(
        self, key: str, outputs: Mapping[str, Path], parts: Mapping[str, Path], models: Models = ()
    ) -> None:
        """Note that `parts`, made by `models`, are about to get the names of `outputs`."""
        marks = {self._name(path): _Mark.of(parts[stem]) for stem, path in outputs.items()}
        self._append("begun", key, marks, models)

    def finish(self, key: str, outputs: Mapping[str, Path], models: Models = ()) -> None:
        """Note that `outputs` are complete, made by `models`."""
        marks = {self._name(path): _Mark.of(path) for path in outputs.values()}
        self._append("done", key, marks, models)

    def _is_current(self, key: str, path: Path) -> bool:
        entry = self._latest.get(self._name(path))
        if entry is None or not entry.is_done or entry.key != key:
            return False
        with contextlib.suppress(OSError):
            # not the time of change, which copying the folder may lose: nothing is replaced here
            return path.stat().st_size == entry.marks[-1].size
        return False

    def _name(self, path: Path) -> str:
        """Name `path` from the folder, so that the folder can be moved."""
        return path.relative_to(self._folder).as_posix()

    def _read(self) -> None:
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return
        except OSError as error:
            raise OutputError(f"{self.path}: the journal cannot be read: {error.strerror}") from error
        for line in lines:
            # a line torn by a kill, or foreign, says nothing; its song is done again
            with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
                record = json.loads(line)
                marks = {name: _Mark(**mark) for name, mark in record["outputs"].items()}
                self._note(record["event"], record["key"], marks)

    def _note(self, event: str, key: str, marks: Mapping[str, _Mark]) -> None:
        for name, mark in marks.items():
            before = self._latest.get(name)
            # until it is done, an earlier file may still be there
            kept = before.marks if before is not None and event == "begun" else ()
            self._latest[name] = _Entry(key, event == "done", (*kept, mark))

    def _append(self, event: str, key: str, marks: Mapping[str, _Mark], models: Models) -> None:
        outputs = {name: asdict(mark) for name, mark in marks.items()}
        record = {"event": event, "key": key, "outputs": outputs, "models": list(models)}
        line = json.dumps(record) + "\n"
        with self._lock:
            try:
                self._write(line.encode())
            except OSError as error:
                raise OutputError(f"{self.path}: the journal cannot be written: {error.strerror}") from error
            self._note(event, key, marks)

    def _write(self, line: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            if file.tell() and not self._ends_line():
                line = b"\n" + line
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def _ends_line(self) -> bool:
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"
