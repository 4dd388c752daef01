"""Files get their names together, and what was there before survives errors and kills at any step."""

import errno
import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from stemsplit.errors import OutputError
from stemsplit.files import parts
from stemsplit.files.parts import remove_older_parts
from stemsplit.files.pending import PendingFile, PendingFolder, place_all

STEPS = ("rename", "replace", "link", "unlink", "rmdir")


class FailingDisk:
    """Lets file operations fail from one of them on: that one, or all that follow as after a kill."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._left = -1
        self._is_dead = False
        self.has_failed = False
        for name in STEPS:
            patch.setattr(os, name, self._wrap(getattr(os, name)))

    def fail_after(self, n_steps: int, *, is_dead: bool) -> None:
        self._left, self._is_dead, self.has_failed = n_steps, is_dead, False

    def recover(self) -> None:
        self._left = -1

    def _wrap(self, step: Callable[..., None]) -> Callable[..., None]:
        def run(*args: Any, **options: Any) -> None:
            if self._left == 0:
                self.has_failed = True
                self._left = 0 if self._is_dead else -1
                raise OSError(errno.EIO, "no more")
            self._left -= self._left > 0
            step(*args, **options)

        return run


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> FailingDisk:
    # every process has ended, also this one
    monkeypatch.setattr(parts, "is_running", lambda _: False)
    return FailingDisk(monkeypatch)


def write(path: Path, text: str = "new") -> PendingFile:
    pending = PendingFile(path, overwrite=True)
    pending.prepare()
    pending.part.write_text(text)
    return pending


def fill(folder: Path, text: str) -> None:
    folder.mkdir(parents=True)
    for name in ("1.wav", "2.wav"):
        (folder / name).write_text(text)


def read(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def replace_folder(path: Path) -> PendingFolder:
    pending = PendingFolder(path, overwrite=True, is_own=lambda name: name.endswith(".wav"))
    pending.prepare()
    fill(pending.part, "new")
    return pending


def folders(tmp_path: Path) -> Iterator[Path]:
    """Yield folders of two files and a foreign one, each beside nothing else."""
    for number in count():
        path = tmp_path / str(number) / "slices"
        fill(path, "old")
        (path / "my-notes.txt").write_text("mine")
        yield path


OLD = {"1.wav": "old", "2.wav": "old", "my-notes.txt": "mine"}
NEW = {"1.wav": "new", "2.wav": "new", "my-notes.txt": "mine"}


@pytest.mark.parametrize("is_dead", [False, True])
def test_an_error_while_files_are_replaced_leaves_all_as_they_were_and_a_kill_leaves_them_whole(
    tmp_path: Path, disk: FailingDisk, is_dead: bool
) -> None:
    (tmp_path / "song.wav").write_text("mine")
    for n_steps in count():
        folder = tmp_path / str(n_steps)
        fill(folder, "old")
        (folder / "3.wav").symlink_to(tmp_path / "song.wav")
        paths = [folder / name for name in ("1.wav", "2.wav", "3.wav", "4.wav")]
        pending = [write(path) for path in paths]
        disk.fail_after(n_steps, is_dead=is_dead)
        try:
            place_all(pending)
        except OutputError:
            if not is_dead:
                assert [path.read_text() for path in paths[:3]] == ["old", "old", "mine"]
                assert paths[2].is_symlink() and not paths[3].exists()
        else:
            assert [path.read_text() for path in paths] == ["new"] * 4
        disk.recover()
        if not is_dead:
            for each in pending:
                each.discard()
        parts._list_hidden.cache_clear()
        place_all([write(paths[3])])
        for path in paths[:3]:
            assert path.read_text() in ("old", "mine", "new")
            remove_older_parts(path)
        assert set(folder.iterdir()) == set(paths)
        if not disk.has_failed:
            break
    assert n_steps == 11


def test_without_hard_links_files_that_replaced_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(*_: object, **__: object) -> None:
        raise OSError(errno.ENOTSUP, "no hard links here")

    monkeypatch.setattr(os, "link", no_link)
    fill(tmp_path / "out", "old")
    pending = [write(tmp_path / "out" / name) for name in ("0.wav", "1.wav", "2.wav")]
    pending[-1].part.unlink()
    with pytest.raises(OutputError, match=r"2\.wav"):
        place_all(pending)
    assert read(tmp_path / "out") == {"1.wav": "new", "2.wav": "old"}


def test_a_folder_replaces_an_earlier_one_save_for_foreign_files(tmp_path: Path) -> None:
    path = next(folders(tmp_path))
    place_all([replace_folder(path)])
    assert read(path) == NEW
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", ["slices", "s" * 240])
def test_a_kill_while_a_folder_is_replaced_loses_no_file_of_the_user(
    tmp_path: Path, disk: FailingDisk, name: str
) -> None:
    for n_steps, earlier in enumerate(folders(tmp_path)):
        path = earlier.rename(earlier.with_name(name))
        parts._list_hidden.cache_clear()
        pending = replace_folder(path)
        disk.fail_after(n_steps, is_dead=True)
        try:
            place_all([pending])
        except OutputError:
            pending.discard()
        disk.recover()
        parts._list_hidden.cache_clear()
        PendingFolder(path, overwrite=True, is_own=lambda name: name.endswith(".wav")).prepare()
        assert read(path) in (OLD, NEW)
        assert list(path.parent.iterdir()) == [path]
        if not disk.has_failed:
            break
    assert n_steps > 3 and read(path) == NEW


def test_an_error_while_folders_are_replaced_leaves_them_as_they_were(
    tmp_path: Path, disk: FailingDisk
) -> None:
    for n_steps, path in enumerate(folders(tmp_path)):
        other = path.with_name("other")
        fill(other, "old")
        pending = [replace_folder(other), replace_folder(path)]
        disk.fail_after(n_steps, is_dead=False)
        try:
            place_all(pending)
        except OutputError:
            assert read(path) == OLD
            assert set(read(other).values()) == {"old"}
            for each in pending:
                each.discard()
            assert {each.name for each in path.parent.iterdir()} == {"slices", "other"}
        else:
            assert read(path) == NEW
        if not disk.has_failed:
            break
    assert n_steps > 6


def test_a_new_folder_is_withdrawn(tmp_path: Path, disk: FailingDisk) -> None:
    first, second = replace_folder(tmp_path / "first"), replace_folder(tmp_path / "second")
    disk.fail_after(1, is_dead=False)
    with pytest.raises(OutputError, match="second"):
        place_all([first, second])
    first.discard()
    second.discard()
    assert not list(tmp_path.iterdir())
