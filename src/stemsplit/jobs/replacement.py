"""Drums that take the place of a song's: which ones, and the files that are written of them.

What makes them is imported when it is asked for: most songs are only separated.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from stemsplit.music.analysis import SongAnalysis
    from stemsplit.music.drum_replacement import DrumReplacement

DRUMS: Final = "drums"
REST: Final = f"no_{DRUMS}"


@dataclass(frozen=True)
class ReplacementSettings:
    """Which drums take the place of a song's.

    Parameters
    ----------
    kit
        An SFZ file, or a folder of samples, see `stemsplit.music.drum_kit.read_kit`; None for the kit of the
        package.
    blend
        Share of the new drums, from 0 to 1; the rest is that of the drums stem.
    mixture
        Write the song with these drums as well; this needs the stem ``no_drums``.

    Raises
    ------
    SettingsError
        If the kit cannot be used, or the share is out of its range.
    """

    kit: str | None = None
    blend: float = 1.0
    mixture: bool = False
    digest: str = field(init=False)  # of the kit, which may change under its name

    def __post_init__(self) -> None:
        from stemsplit.music.drum_kit import read_kit
        from stemsplit.music.drum_replacement import check_blend

        check_blend(self.blend)
        object.__setattr__(self, "digest", read_kit(self.kit).digest())

    @property
    def stems(self) -> tuple[str, ...]:
        """The stems from which the new drums are made."""
        return (DRUMS, REST) if self.mixture else (DRUMS,)


class NewDrums:
    """The files of one song's new drums; its hits are found once for all of them."""

    def __init__(self, settings: ReplacementSettings) -> None:
        self._settings = settings
        self._open = cache(self._open_replacement)

    def write(self, path: Path, stems: Mapping[str, Path], found: "SongAnalysis") -> bool:
        """Write the new drums; return whether the song has drums."""
        return self._write(path, stems, found, with_rest=False)

    def write_mixture(self, path: Path, stems: Mapping[str, Path], found: "SongAnalysis") -> bool:
        """Write the song with the new drums; return whether it has drums."""
        return self._write(path, stems, found, with_rest=True)

    def write_midi(self, path: Path, stems: Mapping[str, Path], found: "SongAnalysis") -> bool:
        """Write the hits as a MIDI file; return whether the song has drums."""
        from stemsplit.music.midi import as_note, write_midi

        new = self._replace(stems)
        if not _has_drums(found) or not new.hits:
            return False
        write_midi(path, [as_note(hit) for hit in new.hits], DRUMS, found)
        return True

    def describe(self, stems: Mapping[str, Path]) -> str:
        """Return which hits were replaced."""
        return self._replace(stems).note

    def _write(
        self, path: Path, stems: Mapping[str, Path], found: "SongAnalysis", *, with_rest: bool
    ) -> bool:
        new = self._replace(stems)
        if not _has_drums(found) or not new.hits:
            return False
        new.write(path, with_rest=with_rest)
        return True

    def _replace(self, stems: Mapping[str, Path]) -> "DrumReplacement":
        return self._open(_Sources(stems[DRUMS], stems[REST] if self._settings.mixture else None))

    def _open_replacement(self, sources: "_Sources") -> "DrumReplacement":
        from stemsplit.music.drum_kit import read_kit
        from stemsplit.music.drum_replacement import DrumReplacement

        settings = self._settings
        return DrumReplacement(sources.drums, read_kit(settings.kit), settings.blend, sources.rest)


class _Sources(NamedTuple):
    """The files from which the new drums of a song are made."""

    drums: Path
    rest: Path | None


def _has_drums(found: "SongAnalysis") -> bool:
    """Whether the drums stem is more than what is left of other instruments in it."""
    from stemsplit.music.analysis import LEAST_DRUMS_LU

    drums = found.stems[DRUMS].loudness_lufs if DRUMS in found.stems else None
    if drums is None or found.loudness_lufs is None:
        return False
    return drums > found.loudness_lufs + LEAST_DRUMS_LU
