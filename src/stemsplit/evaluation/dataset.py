"""Data sets as they are on disk: where the songs are, and which file is which stem.

- MUSDB18: ``train/SONG.stem.mp4`` and ``test/SONG.stem.mp4``;
- MUSDB18-HQ: ``train/SONG/mixture.wav``, ``vocals.wav`` and so on, likewise ``test``;
- DSD100: ``Mixtures/Dev/SONG/mixture.wav`` and ``Sources/Dev/SONG/vocals.wav`` and so on, likewise ``Test``;
- a folder of songs in either form of MUSDB18, without ``train`` and ``test``.

Files may be of any format. The file of a stem is called by its name.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from stemsplit.audio.extensions import is_audio
from stemsplit.errors import SettingsError
from stemsplit.evaluation.reference_song import AudioTrack, ReferenceSong

SPLITS: Final = ("train", "test")
MIXTURE: Final = "mixture"
STEM_FILE: Final = ".stem.mp4"
# the tracks of a stem file of MUSDB18
TRACKS: Final = (MIXTURE, "drums", "bass", "other", "vocals")
_DSD_FOLDERS: Final = {"train": "Dev", "test": "Test"}


def find_songs(folder: Path, split: str = "") -> list[ReferenceSong]:
    """Find the songs of a data set, sorted by name.

    Parameters
    ----------
    folder
        The data set.
    split
        ``train``, ``test`` or ``all``; empty for the songs for testing, or all if the data set has no splits.

    Returns
    -------
    list of ReferenceSong
        A song that lacks a stem which others have says so in its `problem`.

    Raises
    ------
    SettingsError
        If the folder does not exist, holds no songs, or has no such split.
    """
    if split not in {"", "all", *SPLITS}:
        raise SettingsError(f"--split is {split!r}; it must be train, test or all")
    if not folder.is_dir():
        raise SettingsError(f"{folder}: not a folder; name the folder of a data set")
    songs = list(_find(folder))
    found_splits = {song.split for song in songs} - {""}
    wanted = split or ("test" if "test" in found_splits else "all")
    chosen = [song for song in songs if wanted in ("all", song.split)]
    if not songs or not chosen:
        which = f" of the split {wanted}" if songs else ""
        raise SettingsError(
            f"{folder}: holds no songs{which}; they are looked for as in MUSDB18 (train, test; "
            f"SONG{STEM_FILE} or SONG/vocals.wav) and in DSD100 (Mixtures/Test, Sources/Test)"
        )
    return _name_missing(chosen)


def _find(folder: Path) -> Iterator[ReferenceSong]:
    sources, mixtures = folder / "Sources", folder / "Mixtures"
    if sources.is_dir() and mixtures.is_dir():
        for split, name in _DSD_FOLDERS.items():
            yield from _find_dsd(sources / name, mixtures / name, split)
        return
    splits = [split for split in SPLITS if (folder / split).is_dir()]
    for split in splits:
        yield from _find_musdb(folder / split, split)
    if not splits:
        yield from _find_musdb(folder, "")


def _find_dsd(sources: Path, mixtures: Path, split: str) -> Iterator[ReferenceSong]:
    names = {path.name for parent in (sources, mixtures) for path in _folders(parent)}
    for name in sorted(names):
        stems = _read_folder(sources / name)
        mixture = _read_folder(mixtures / name).get(MIXTURE, [])
        song = _make_song(sources / name, split, {**stems, MIXTURE: mixture})
        problem = "" if mixture else f"{mixtures / name}: holds no mixture"
        yield replace(song, problem=song.problem or problem)


def _find_musdb(folder: Path, split: str) -> Iterator[ReferenceSong]:
    paths = [*_folders(folder), *(path for path in folder.glob(f"*{STEM_FILE}") if _is_visible(path))]
    for path in sorted(paths, key=lambda path: path.name):
        if path.is_dir():
            yield _make_song(path, split, _read_folder(path))
            continue
        tracks = {name: AudioTrack(path, index) for index, name in enumerate(TRACKS, start=1)}
        mixture = tracks.pop(MIXTURE)
        yield ReferenceSong(path.name.removesuffix(STEM_FILE), split, tracks, mixture)


def _make_song(folder: Path, split: str, files: Mapping[str, Sequence[Path]]) -> ReferenceSong:
    """Return the song whose files are given by stem; none, or several of one stem, are its problem."""
    tracks = {name: AudioTrack(paths[0]) for name, paths in files.items() if paths}
    mixture = tracks.pop(MIXTURE, None)
    twice = next((name for name, paths in files.items() if len(paths) > 1), None)
    problem = f"{folder}: has several files called {twice}; keep one of them" if twice else ""
    problem = problem or ("" if tracks else f"{folder}: holds no stems")
    return ReferenceSong(folder.name, split, dict(sorted(tracks.items())), mixture, problem)


def _name_missing(songs: Sequence[ReferenceSong]) -> list[ReferenceSong]:
    """Return the songs; one that lacks a stem which others have says so."""
    expected = sorted({stem for song in songs for stem in song.stems})
    return [_check_stems(song, expected) for song in songs]


def _check_stems(song: ReferenceSong, expected: Sequence[str]) -> ReferenceSong:
    missing = [stem for stem in expected if stem not in song.stems]
    if song.problem or not missing:
        return song
    folder = next(iter(song.stems.values())).path.parent
    return replace(song, problem=f"{folder}: lacks {', '.join(missing)}, which other songs have")


def _read_folder(folder: Path) -> dict[str, list[Path]]:
    """Return the audio files of a folder by their names without the extension, in small letters."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*")):
        if is_audio(path) and path.is_file() and _is_visible(path):
            found.setdefault(path.stem.lower(), []).append(path)
    return found


def _folders(folder: Path) -> Iterator[Path]:
    return (path for path in folder.glob("*") if path.is_dir() and _is_visible(path))


def _is_visible(path: Path) -> bool:
    return not path.name.startswith(".")
