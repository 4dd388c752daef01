"""Recordings: the real music of a library, stored as songs without further processing.

Songs of recordings are named by running numbers, so a name does not identify its content. The description
of a song therefore keeps the stretches of files that it consists of: a song with other stretches than the
library lists under its name is stored again, and a song that the library does not list is removed.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from stemsplit.training.data.library import Item, Library
from stemsplit.training.data.rendered_stem import RenderedStem
from stemsplit.training.data.songs import (
    SHORTEST_S,
    Origin,
    TrainingSong,
    amend_song,
    find_songs,
    remove_song,
    save_song,
    stem_name,
    sum_waveforms,
)

EXCERPTS = ("passage", "separated")  # kinds of songs that were cut out of recordings


@dataclass(frozen=True)
class Recording:
    """A real piece of music in the library.

    Parameters
    ----------
    name : str
        Of its song.
    split, kind : str
        Of its song.
    parts : tuple of (str, Item)
        Its items, each with the stem that it belongs to.
    """

    name: str
    split: str
    kind: str
    parts: tuple[tuple[str, Item], ...]

    @property
    def stems(self) -> tuple[str, ...]:
        """Stems of the song."""
        return tuple(dict.fromkeys(stem for stem, _ in self.parts))

    @property
    def origin(self) -> Origin:
        """Stretches of files that the song consists of."""
        return tuple((stem, item.file, item.start_s, item.duration_s) for stem, item in self.parts)


def list_recordings(library: Library) -> dict[str, Recording]:
    """Return every real piece of music in the library, by name."""
    found = [recording for split in ("train", "valid") for recording in _list_split(library, split)]
    return {recording.name: recording for recording in found}


def _list_split(library: Library, split: str) -> Iterator[Recording]:
    multitracks: dict[str, list[tuple[str, Item]]] = {}
    for item in library.select(split=split, kinds=("multitrack",)):
        multitracks.setdefault(f"multitrack-{item.instrument}", []).append((item.category, item))
    for name, parts in multitracks.items():
        yield Recording(name, split, "multitrack", tuple(parts))
    for number, item in enumerate(library.select(split=split, category="backing")):
        # a guessed content ("drums?") counts as content
        stem = stem_name(item.contains.replace("?", "").split(";"))
        yield Recording(f"backing-{split}-{number:03}", split, "backing", ((stem, item),))
    if split == "valid":
        yield from _list_singing(library)
    kinds = ("performance", "phrase", "loop")
    for category in ("other", "drums"):
        for number, item in enumerate(library.select(split=split, category=category, kinds=kinds)):
            if item.duration_s >= SHORTEST_S:
                name = f"performance-{category}-{split}-{number:03}"
                yield Recording(name, split, "performance", ((category, item),))


def _list_singing(library: Library) -> Iterator[Recording]:
    """Yield excerpts of held-out singers; several of one file are numbered from the second one on."""
    used: set[str] = set()
    for item in library.select(split="valid", category="vocals", kinds=("singing",)):
        if item.duration_s >= SHORTEST_S:
            plain = f"singing-{Path(item.name).stem}"
            numbered = (f"{plain}_{number}" for number in itertools.count(2))
            name = next(name for name in itertools.chain((plain,), numbered) if name not in used)
            used.add(name)
            yield Recording(name, "valid", "singing", (("vocals", item),))


def collect_recordings(library: Library, folder: Path, progress: Callable[[str], None]) -> int:
    """Store all real music of the library as songs and return the number of new ones.

    Songs of recordings that the library no longer lists, or lists differently, are removed together with
    their excerpts.

    Raises
    ------
    StemsplitError
        A song of the folder is damaged, or an item of the library cannot be used.
    """
    listed = list_recordings(library)
    kept = _keep_listed(library, folder, listed, progress)
    missing = [recording for name, recording in listed.items() if name not in kept]
    for recording in missing:
        save_song(
            folder,
            recording.name,
            _sum_stems(library, recording),
            split=recording.split,
            kind=recording.kind,
            maker=recording.parts[0][1].attribution,
            origin=recording.origin,
        )
    return len(missing)


def _keep_listed(
    library: Library, folder: Path, listed: Mapping[str, Recording], progress: Callable[[str], None]
) -> set[str]:
    """Remove songs that the library does not list and return the names of the recordings that stay."""
    kept, songs = set(), [song for song in find_songs(folder) if song.kind not in {"render", "added"}]
    for song in songs:
        recording = listed.get(song.path.stem)
        if recording and _is_same_recording(library, recording, song):
            amend_song(song, origin=recording.origin)  # earlier versions did not store it
            kept.add(song.path.stem)
    for song in songs:
        source = _recording_name(song)
        if source not in kept:
            remove_song(song.path)
            listing = "of a recording that" if song.kind in EXCERPTS else "a recording that"
            progress(f"removed {song.path.stem}, {listing} the library does not list as it was stored")
    return kept


def _is_same_recording(library: Library, recording: Recording, song: TrainingSong) -> bool:
    """Return whether a song is this recording; songs of earlier versions are compared by stems and length."""
    kinds = {recording.kind, "screened"}
    if (song.split, song.stems) != (recording.split, recording.stems) or song.kind not in kinds:
        return False
    if song.origin:
        return song.origin == recording.origin
    return song.n_samples == max(library.length(item) for _, item in recording.parts)


def _recording_name(song: TrainingSong) -> str:
    """Return the recording that a song is, or is an excerpt of: <kind>-<recording>-<start>-<stop>-<stem>."""
    name = song.path.stem
    return name.removeprefix(f"{song.kind}-").rsplit("-", 3)[0] if song.kind in EXCERPTS else name


def _sum_stems(library: Library, recording: Recording) -> dict[str, RenderedStem]:
    waveforms = [(stem, library.audio(item)) for stem, item in recording.parts]
    return {
        stem: RenderedStem(sum_waveforms([audio for name, audio in waveforms if name == stem]))
        for stem in recording.stems
    }
