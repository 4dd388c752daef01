"""Songs as training sees them: aligned stems in one array on the disk each.

A song is ``<name>.npy``, int16 ``(stems, 2, samples)``, beside ``<name>.json``. A stem is one of `TARGETS`,
or unseparated music, named by the targets it may hold: "bass+other" has no drums and no voice in it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemsplit.errors import StemsplitError
from stemsplit.pending import whole_file
from stemsplit.training import TARGETS
from stemsplit.training.library import Item, Library, to_int16
from stemsplit.training.take import Take
from stemsplit.types import FloatArray

SHORTEST_S = 6.0  # of a recording that is worth a song


@dataclass(frozen=True)
class Song:
    """Aligned stems of one piece of music.

    Parameters
    ----------
    path : Path
        The array.
    split : str
        "train" or "valid".
    kind : str
        "multitrack", "backing", "performance", "singing", "passage", "screened" (never drawn) or "render".
    stems : tuple of str
        What the first axis of the array holds.
    levels_db : tuple of float
        Level of each stem while it sounds, in dB against full scale.
    n_samples : int
        Length.
    ingredients : dict of str to tuple of str
        What an ablation may leave out, by stem.
    maker : str
        Whose music it is, where it is real: songs of one maker sound alike.
    """

    path: Path
    split: str
    kind: str
    stems: tuple[str, ...]
    levels_db: tuple[float, ...]
    n_samples: int
    ingredients: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    maker: str = ""

    def level_db(self, stem: str) -> float:
        """Level of a stem while it sounds."""
        return self.levels_db[self.stems.index(stem)]

    def read(self, stem: str, start: int, n_samples: int) -> FloatArray:
        """Samples of one stem, ``(2, n_samples)``; silence beyond the end."""
        # mapped for this stretch only: a map that is kept costs a file descriptor for each song drawn
        row = _mapped(self.path)[self.stems.index(stem), :, start : start + n_samples]
        waveform = row.astype(np.float32) / 32768
        return np.pad(waveform, ((0, 0), (0, n_samples - waveform.shape[1])))


def _mapped(array: Path) -> NDArray[np.int16]:
    samples: NDArray[np.int16] = np.load(array, mmap_mode="r")
    return samples


def targets_of(stem: str) -> tuple[str, ...]:
    """Targets that a stem may hold.

    Raises
    ------
    StemsplitError
        The name is none of a stem.

    >>> targets_of("bass+other")
    ('bass', 'other')
    """
    targets = tuple(stem.split("+"))
    if not stem or stem != stem_of(targets):
        raise StemsplitError(
            f"{stem!r} names no stem: join some of {', '.join(TARGETS)} by '+', in this order"
        )
    return targets


def stem_of(targets: Iterable[str]) -> str:
    """Name of the stem that holds some targets.

    >>> stem_of(["other", "drums"])
    'drums+other'
    """
    held = set(targets)
    return "+".join(target for target in TARGETS if target in held)


def active_level_db(waveform: FloatArray) -> float:
    """Power mean of the louder half-second pieces of a waveform, in dB against full scale."""
    size = 22050
    pieces = waveform[:, : max(size, waveform.shape[1] // size * size)]
    power = np.square(pieces).mean(0)
    power = power[: power.size // size * size].reshape(-1, size).mean(1) if power.size >= size else power
    loud = power[power > 0.05 * power.max(initial=0.0)]
    return float(10 * np.log10(loud.mean() + 1e-10)) if loud.size else -100.0


def save_song(
    folder: Path, name: str, takes: Mapping[str, Take], *, split: str, kind: str, maker: str = ""
) -> None:
    """Write a song; shorter stems are padded with silence, the peak of all is brought below full scale."""
    stems = [take.waveform for take in takes.values()]
    n_samples = max(stem.shape[1] for stem in stems)
    padded = [np.pad(stem, ((0, 0), (0, n_samples - stem.shape[1]))) for stem in stems]
    samples = np.stack([np.broadcast_to(stem, (2, n_samples)) for stem in padded])
    samples = samples * min(1.0, 0.98 / max(1e-9, float(np.abs(samples).max())))
    levels = [round(active_level_db(stem), 2) for stem in samples]
    facts = {"split": split, "kind": kind, "stems": list(takes), "levels_db": levels, "n_samples": n_samples}
    facts |= {"ingredients": {stem: take.ingredients for stem, take in takes.items()}, "maker": maker}
    with whole_file(folder / f"{name}.npy") as file:
        np.save(file, to_int16(samples))
    # the description comes last: a song without one is not there
    _describe(folder / f"{name}.json", facts)


def load_songs(folder: Path) -> list[Song]:
    """Every song of a folder, by name.

    Raises
    ------
    StemsplitError
        There is none, or one is damaged.
    """
    songs = [_load_song(path) for path in sorted(folder.glob("*.json"))]
    if not songs:
        raise StemsplitError(f"{folder} holds no songs; run `python -m stemsplit.training prepare` first")
    return songs


def _load_song(description: Path) -> Song:
    array = description.with_suffix(".npy")
    try:
        facts = json.loads(description.read_text(encoding="utf-8"))
        facts = {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()}
        made_of = facts.pop("ingredients", {})  # songs of an earlier version say nothing
        facts["ingredients"] = {stem: tuple(names) for stem, names in made_of.items()}
        song = Song(path=array, **facts)
        # an array that is cut off cannot be mapped; else it would be noticed only when training draws it
        samples = _mapped(array)
    except (OSError, EOFError, ValueError, TypeError, AttributeError) as error:
        raise _damaged(description, f"{error!r}") from error
    expected = (len(song.stems), 2, song.n_samples)
    if samples.dtype != np.int16 or samples.shape != expected:
        raise _damaged(
            description, f"{array.name} holds {samples.dtype} {samples.shape}, not int16 {expected}"
        )
    return song


def _damaged(description: Path, reason: str) -> StemsplitError:
    return StemsplitError(
        f"{description} describes no song that can be used ({reason}); "
        "delete it and run `python -m stemsplit.training prepare` again"
    )


def set_kind(song: Song, kind: str) -> None:
    """Write another kind into the description of a song."""
    if kind == song.kind:
        return
    path = song.path.with_suffix(".json")
    _describe(path, json.loads(path.read_text(encoding="utf-8")) | {"kind": kind})


def _describe(path: Path, facts: Mapping[str, Any]) -> None:
    with whole_file(path) as file:
        file.write((json.dumps(facts) + "\n").encode())


def collect_recordings(library: Library, folder: Path) -> int:
    """Store everything of the library that is real music as it stands; returns how many are new."""
    n_new = 0
    for split in ("train", "valid"):
        for name, kind, items in recordings(library, split):
            if not (folder / f"{name}.json").exists():
                maker = items[0][1].attribution
                save_song(folder, name, _sum_stems(library, items), split=split, kind=kind, maker=maker)
                n_new += 1
    return n_new


def recordings(library: Library, split: str) -> list[tuple[str, str, list[tuple[str, Item]]]]:
    """(name, kind, [(stem, item)]) of every real piece of music in the library."""
    found: dict[str, tuple[str, list[tuple[str, Item]]]] = {}
    for item in library.select(split=split, kinds=("multitrack",)):
        found.setdefault(f"multitrack-{item.instrument}", ("multitrack", []))[1].append((item.category, item))
    for number, item in enumerate(library.select(split=split, category="backing")):
        # what it is only guessed to hold it may hold
        stem = stem_of(item.contains.replace("?", "").split(";"))
        found[f"backing-{split}-{number:03}"] = ("backing", [(stem, item)])
    for item in library.select(split=split, category="vocals", kinds=("singing",)):
        if split == "valid" and item.duration_s >= SHORTEST_S:
            found[f"singing-{Path(item.name).stem}"] = ("singing", [("vocals", item)])
    kinds = ("performance", "phrase", "loop")
    for category in ("other", "drums"):
        for number, item in enumerate(library.select(split=split, category=category, kinds=kinds)):
            if item.duration_s >= SHORTEST_S:
                found[f"performance-{category}-{split}-{number:03}"] = ("performance", [(category, item)])
    return [(name, kind, items) for name, (kind, items) in found.items()]


def _sum_stems(library: Library, items: list[tuple[str, Item]]) -> dict[str, Take]:
    stems: dict[str, FloatArray] = {}
    for stem, item in items:
        audio = library.audio(item)
        audio = audio if audio.shape[0] == 2 else np.repeat(audio, 2, axis=0)
        if stem in stems:
            n_samples = max(stems[stem].shape[1], audio.shape[1])
            both = [np.pad(x, ((0, 0), (0, n_samples - x.shape[1]))) for x in (stems[stem], audio)]
            stems[stem] = both[0] + both[1]
        else:
            stems[stem] = audio
    return {stem: Take(waveform) for stem, waveform in stems.items()}
