"""How the stems of a run are made, and whether stems of an earlier run were made in the same way."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from stemsplit.audio.read_settings import ReadSettings
from stemsplit.errors import AudioError
from stemsplit.files.digest import hash_content
from stemsplit.jobs.extras import ExtraSettings
from stemsplit.jobs.inputs import SongInput
from stemsplit.jobs.journal import SourceRecord, StemRecord, hash_values
from stemsplit.jobs.output_settings import OutputSettings
from stemsplit.jobs.result import ModelReference
from stemsplit.separation.base_separator import BaseSeparator
from stemsplit.separation.settings import SeparationSettings

# names of settings in the keys of journals; they stay, so that the stems of earlier versions are recognised
_KEY_NAMES = {"ensemble": "blend"}
_LATER = frozenset({"drums", "before", "transpositions", "int8"})
_WHOLE_SONG = ReadSettings()


@dataclass(frozen=True)
class Provenance:
    """How the stems of a run are made, as it is recorded in results and in the journal."""

    stems: tuple[str, ...]
    device: str
    models: tuple[ModelReference, ...]
    settings: Mapping[str, Any]

    @classmethod
    def of(
        cls, separator: BaseSeparator, output: OutputSettings, reading: ReadSettings = _WHOLE_SONG
    ) -> "Provenance":
        """Return the provenance of stems: who makes them, how they are written, how the song is read."""
        settings = record_settings(separator.settings) | {"stems": list(separator.stems)}
        if separator.routes is not None:
            settings["route"] = separator.routes
        bitrate = {"bitrate_kbps": output.bitrate_kbps} if output.bitrate_kbps else {}
        usual = asdict(_WHOLE_SONG)
        settings |= {name: value for name, value in asdict(reading).items() if value != usual[name]}
        plain = asdict(ExtraSettings())
        settings |= {name: value for name, value in asdict(output.extras).items() if value != plain[name]}
        return cls(
            stems=separator.stems,
            device=separator.device,
            models=tuple(
                ModelReference(info.name, info.version, info.sha256, info.licence, info.commercial)
                for info in separator.models
            ),
            settings=settings | {"format": output.format, "bits": output.bits} | bitrate,
        )

    def key(self, song: Mapping[str, Any] | None, stems: Iterable[str]) -> str:
        """Return a hash of everything that determines the content of `stems`, except the device.

        Parameters
        ----------
        song
            As `stemsplit.jobs.inputs.SongInput.identify` returns it.
        stems
            Their names.
        """
        return hash_values({**self._key_values, "song": song, "stems": sorted(stems)})

    @cached_property
    def _key_values(self) -> Mapping[str, Any]:
        """What all songs share; stems are listed apart, since their order does not change them."""
        settings = {
            _KEY_NAMES.get(name, name): value for name, value in self.settings.items() if name != "stems"
        }
        return {"models": [model.sha256 for model in self.models], "settings": settings}


def record_settings(settings: SeparationSettings) -> dict[str, Any]:
    """Return settings as they are recorded: those that earlier versions lacked only where they are used.

    >>> sorted({"drums", "before"} & record_settings(SeparationSettings(drums="kit")).keys())
    ['drums']
    """
    usual = asdict(SeparationSettings())
    recorded = asdict(settings)
    return {name: value for name, value in recorded.items() if name not in _LATER or value != usual[name]}


class Origin:
    """What the stems of one song are made from: the song as it is now, and the settings of the run.

    The song is read when it is first asked for.

    Parameters
    ----------
    provenance
        Of the run.
    source
        The song.
    stems
        The names of its stems.
    """

    def __init__(self, provenance: Provenance, source: SongInput, stems: Iterable[str]) -> None:
        self._provenance = provenance
        self._source = source
        self._stems = tuple(stems)

    @classmethod
    def find(cls, provenance: Provenance, source: SongInput, stems: Iterable[str]) -> "Origin | None":
        """Return the origin of stems, read at once; None of a pipe, and of a song that cannot be read."""
        if source.is_stdin:
            return None
        origin = cls(provenance, source, stems)
        try:
            _ = origin.key, origin.record
        except (OSError, AudioError):  # opening the song reports it in detail
            return None
        return origin

    @cached_property
    def key(self) -> str:
        """The key under which the stems are recorded.

        Raises
        ------
        OSError, AudioError
            If the song cannot be read.
        """
        return self._provenance.key(self._identity, self._stems)

    @cached_property
    def record(self) -> SourceRecord | None:
        """The song as it is recorded; None where storage has a version of its own."""
        if self._source.path is None or self._identity is None:
            return None
        return SourceRecord(self._identity, self._digest)

    def made(self, stem: StemRecord) -> bool:
        """Return whether a stem of an earlier run was made from the same.

        A song whose modification time has changed is the same if its content is, which is read only then.
        """
        if stem.key == self.key:
            return True
        source = stem.source
        if source is None or self._source.path is None:
            return False
        is_alike = self._provenance.key(source.identity, self._stems) == stem.key and (
            _without_time(source.identity) == _without_time(self._identity or {})
        )
        return is_alike and source.digest == self._digest

    @cached_property
    def _identity(self) -> dict[str, Any] | None:
        return self._source.identify()

    @cached_property
    def _digest(self) -> str:
        assert self._source.path is not None
        return hash_content(self._source.path)


def _without_time(identity: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in identity.items() if name != "mtime_ns"}
