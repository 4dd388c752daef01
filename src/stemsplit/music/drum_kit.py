"""Drum kits: a folder of samples by their names, or an SFZ instrument."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

import soundfile

from stemsplit.errors import SettingsError
from stemsplit.files.digest import hash_content
from stemsplit.music.drum_hits import KINDS
from stemsplit.music.sfz import Region, read_sfz

DEFAULT_KIT: Final = Path(__file__).with_name("kit")
_ENDINGS: Final = frozenset({".wav", ".flac", ".aif", ".aiff", ".ogg"})
# the first that a name matches; the hi-hat stands for all cymbals, which play where a kit has no hi-hat
_NAMES: Final = {
    "hat": r"hi.?hats?|(?<![a-z])(hats?|hh|ch|oh)(?![a-z])",
    "kick": r"kick|bass.?drum|(?<![a-z])(bd|kd)(?![a-z])",
    "snare": r"snare|(?<![a-z])(sd|sn)(?![a-z])",
    "tom": r"tom",
    "cymbal": r"crash|ride|cymbal|splash|china",
}
_LAYER: Final = re.compile(r"(?<![a-z])v(?:el)?(\d+)")
# of General MIDI
_KEYS: Final = {
    "kick": (35, 36),
    "snare": (37, 38, 39, 40),
    "tom": (41, 43, 45, 47, 48, 50),
    "hat": (42, 44, 46),
    "cymbal": (49, 51, 52, 53, 55, 57, 59),
}
_KIND_OF_KEY: Final = {key: kind for kind, keys in _KEYS.items() for key in keys}
_LOUDEST: Final = 127
_MAX_S: Final = 30.0


@dataclass(frozen=True)
class KitSample:
    """A sample of a drum: its file, the velocities that it is for, and its place in a round robin."""

    path: Path
    lowest: int = 1
    highest: int = _LOUDEST
    position: int = 1


@dataclass(frozen=True)
class DrumKit:
    """The samples of each kind of drum in `stemsplit.music.drum_hits.KINDS`; a kind may be missing."""

    samples: Mapping[str, Sequence[KitSample]]

    def choose(self, kind: str, velocity: int, turn: int) -> KitSample:
        """Return the sample for a hit of a kind that the kit has.

        Parameters
        ----------
        kind
            Of the drum.
        velocity
            1 to 127; the samples whose range is the nearest are played.
        turn
            How many hits of this kind came before: samples of one range take turns.
        """

        def distance(sample: KitSample) -> int:
            return max(sample.lowest - velocity, velocity - sample.highest, 0)

        nearest = min(map(distance, self.samples[kind]))
        choices = [sample for sample in self.samples[kind] if distance(sample) == nearest]
        return sorted(choices, key=lambda sample: sample.position)[turn % len(choices)]

    def digest(self) -> str:
        """Return a hash of all samples and of what they are for."""
        import hashlib

        listed = [
            f"{kind} {sample.lowest} {sample.highest} {sample.position} {hash_content(sample.path)}"
            for kind, samples in sorted(self.samples.items())
            for sample in samples
        ]
        return hashlib.sha256("\n".join(listed).encode()).hexdigest()


def read_kit(path: Path | str | None = None) -> DrumKit:
    """Read a kit.

    Parameters
    ----------
    path
        An SFZ file; a folder with one; or a folder of samples whose names say what they are, such as
        ``kick.wav``, ``snare_1.wav`` and ``snare_2.wav``, which take turns, or ``hihat_v1.wav`` and
        ``hihat_v2.wav``, which are for soft and loud hits. Other files are left alone. None for the kit of
        the package.

    Raises
    ------
    SettingsError
        If there is no such kit, it has no samples, or something in it is not understood.
    """
    place = DEFAULT_KIT if path is None else Path(path)
    if place.is_file() and place.suffix.lower() == ".sfz":
        kit = _make_kit(place, _assign(place))
    elif place.is_dir():
        instruments = sorted(each for each in place.iterdir() if each.suffix.lower() == ".sfz")
        if len(instruments) > 1:
            names = ", ".join(each.name for each in instruments)
            raise SettingsError(f"{place} holds several kits ({names}); name one of these files")
        kit = _make_kit(place, _assign(instruments[0]) if instruments else _read_folder(place))
    else:
        raise SettingsError(f"{place} is no kit; name a folder of samples or an SFZ file")
    return kit


def _make_kit(place: Path, samples: Iterable[tuple[str, KitSample]]) -> DrumKit:
    by_kind: dict[str, list[KitSample]] = {}
    for kind, sample in samples:
        _check(sample.path)
        by_kind.setdefault(kind, []).append(sample)
    cymbals = by_kind.pop("cymbal", [])
    if cymbals and "hat" not in by_kind:
        by_kind["hat"] = cymbals
    if not by_kind:
        raise SettingsError(
            f"{place} holds no sample of a drum; name them after {', '.join(_NAMES)}, such as kick_1.wav"
        )
    assert by_kind.keys() <= set(KINDS)
    return DrumKit(by_kind)


def _check(path: Path) -> None:
    try:
        info = soundfile.info(path)
    except (OSError, soundfile.SoundFileError) as error:
        raise SettingsError(f"{path} of the kit cannot be read: {error}") from error
    if not 0 < info.duration <= _MAX_S:
        raise SettingsError(f"{path} has {info.duration:.1f} s; a sample of a kit has up to {_MAX_S:.0f} s")


def _read_folder(folder: Path) -> Iterable[tuple[str, KitSample]]:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _ENDINGS)
    named = [(kind, path) for path in paths if (kind := _find_kind(path.stem)) is not None]
    for kind, group in groupby(sorted(named, key=lambda each: each[0]), key=lambda each: each[0]):
        yield from ((kind, sample) for sample in _layer([path for _, path in group]))


def _find_kind(name: str) -> str | None:
    return next((kind for kind, pattern in _NAMES.items() if re.search(pattern, name.lower())), None)


def _layer(paths: Sequence[Path]) -> Iterable[KitSample]:
    """Spread the layers in the names of samples of one drum evenly over all velocities."""
    found = {path: _LAYER.search(path.stem.lower()) for path in paths}
    layers = sorted({int(match[1]) if match else 0 for match in found.values()})
    for position, (path, match) in enumerate(found.items(), 1):
        layer = layers.index(int(match[1]) if match else 0)
        lowest = 1 + layer * _LOUDEST // len(layers)
        yield KitSample(path, lowest, (layer + 1) * _LOUDEST // len(layers), position)


def _assign(path: Path) -> Iterable[tuple[str, KitSample]]:
    """Assign the regions of an SFZ instrument to drums by their keys."""
    for region in read_sfz(path):
        yield _find_drum(region, path), KitSample(region.sample, region.lovel, region.hivel, region.position)


def _find_drum(region: Region, path: Path) -> str:
    kind = _KIND_OF_KEY.get(region.key)
    if kind is None:
        raise SettingsError(
            f"{path}: key {region.key} of {region.sample.name} is none of a kick, snare, tom, hi-hat or "
            f"cymbal in General MIDI, which are {', '.join(map(str, sorted(_KIND_OF_KEY)))}"
        )
    return kind
