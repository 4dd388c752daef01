"""What the user named, turned into songs: files, folders, globs, and ``-`` for standard input."""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from stemsplit import journal
from stemsplit.audio import is_audio

STDIN = "-"
_HERE = PurePath()


@dataclass(frozen=True)
class Source:
    """One song to read.

    `mirror` is where its folder lies below the folder that was named, and so below the output folder too.
    `problem` says why there is nothing to read; such a source becomes a failed result, so that one wrong
    name does not stop the others.
    """

    label: str
    path: Path | None
    mirror: PurePath = _HERE
    problem: str | None = None

    @property
    def track(self) -> str:
        """Base name of the song."""
        return self.path.stem if self.path else "stdin"

    @property
    def is_stdin(self) -> bool:
        """Whether the song comes on standard input."""
        return self.path is None and self.problem is None


def expand_inputs(
    inputs: Sequence[str], *, recursive: bool = False, output_dir: Path | None = None
) -> list[Source]:
    """Return the songs that `inputs` stand for, in the order named, folders sorted, each song once.

    Parameters
    ----------
    inputs : sequence of str
        Files, folders, globs (for shells that do not expand them) and ``-``.
    recursive : bool
        Also read the folders inside a folder.
    output_dir : Path, optional
        Skipped when it lies inside a folder that is read.
    """
    seen: set[str] = set()
    sources: list[Source] = []
    for text in inputs:
        for source in _expand(text, recursive=recursive, output_dir=output_dir):
            key = source.label if source.path is None else os.path.realpath(source.path)
            if key not in seen:
                seen.add(key)
                sources.append(source)
    return sources


def _expand(text: str, *, recursive: bool, output_dir: Path | None) -> list[Source]:
    if text == STDIN:
        return [Source(STDIN, None)]
    path = Path(text)
    if text and path.is_dir():
        return _expand_folder(path, recursive=recursive, output_dir=output_dir)
    if text and os.path.lexists(path):
        return [Source(text, path)]
    if glob.has_magic(text):
        return _expand_glob(text, recursive=recursive, output_dir=output_dir)
    return [Source(text, None, problem=f"{text or repr(text)}: no such file or folder; check the name")]


def _expand_folder(folder: Path, *, recursive: bool, output_dir: Path | None) -> list[Source]:
    sources = [
        Source(str(path), path, path.parent.relative_to(folder))
        for path in _walk(folder, recursive=recursive, output_dir=output_dir)
    ]
    if sources:
        return sources
    problem = f"{folder}: there is no audio file in the folder"
    if not recursive and any(_walk(folder, recursive=True, output_dir=output_dir)):
        problem += "; those in its subfolders are read with --recursive"
    return [Source(str(folder), None, problem=problem)]


def _expand_glob(pattern: str, *, recursive: bool, output_dir: Path | None) -> list[Source]:
    sources: list[Source] = []
    for match in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207 - it may be absolute
        path = Path(match)
        if not path.is_dir():
            sources += [Source(match, path)] if is_audio(path) else []
        elif "**" not in pattern:  # `**` has already been through the folders
            sources += _expand_folder(path, recursive=recursive, output_dir=output_dir)
    return sources or [Source(pattern, None, problem=f"{pattern}: no audio file matches")]


def _walk(folder: Path, *, recursive: bool, output_dir: Path | None) -> Iterator[Path]:
    """Yield the audio files of `folder` in the order of their names, a folder's files before its folders'.

    Hidden names, the output folder and the stems of earlier runs are passed over; links to folders are not
    followed.
    """
    skipped = os.path.realpath(output_dir) if output_dir else None
    stems: set[Path] = set()
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if recursive
            and not name.startswith(".")
            and os.path.realpath(os.path.join(root, name)) != skipped  # noqa: PTH118 - as os.walk gives it
        )
        if journal.FILE_NAME in names:
            stems |= journal.Journal(Path(root)).files
        for name in sorted(names):
            path = Path(root, name)
            if not name.startswith(".") and path not in stems and is_audio(path):
                yield path
