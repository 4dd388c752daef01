"""Where and how the stems of a run are written."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from stemsplit.audio.encoding import MULTITRACK_FORMATS, VIDEO_FORMATS
from stemsplit.audio.read_settings import ReadSettings
from stemsplit.audio.stem_box import N_STEMS
from stemsplit.errors import SettingsError
from stemsplit.jobs.extras import ExtraSettings
from stemsplit.jobs.name_template import ANALYSIS_FIELDS, NameTemplate
from stemsplit.jobs.output_folder import LocalFolder, OutputFolder
from stemsplit.separation.base_separator import BaseSeparator

_EXACT_FORMATS: Final = ("wav", "flac", "aiff")


@dataclass(frozen=True)
class OutputSettings:
    """Where stems are written, and how.

    Parameters
    ----------
    folder
        The folder of all stems, and of the journal; a path is a local folder.
    template
        The file names below it.
    format, bits, bitrate_kbps
        As in `stemsplit.audio.encoding.choose_encoding`.
    extras
        What is written beside the stems.
    overwrite
        Replace files that exist.
    skip_existing
        Leave files alone that exist, and make only the stems that are missing.
    resume
        Skip a song if, by the journal, its files were made from the same song with the same settings and
        models; replace other files that stemsplit wrote and that have not been changed since.
    """

    folder: OutputFolder | Path
    template: NameTemplate = field(default_factory=NameTemplate)
    format: str = "wav"
    bits: str | None = None
    bitrate_kbps: int | None = None
    overwrite: bool = False
    skip_existing: bool = False
    resume: bool = False
    extras: ExtraSettings = field(default_factory=ExtraSettings)

    def __post_init__(self) -> None:
        if self.extras.need_stems and self.format not in _EXACT_FORMATS:
            raise SettingsError(
                f"what is made from the stems needs them to the sample, which {self.format} is not; "
                f"choose --format {' or '.join(_EXACT_FORMATS)}"
            )
        if self.extras.slices and not isinstance(self.folder, Path) and self.folder.is_remote:
            raise SettingsError("slices need an output folder on a disk; choose one with --output")
        late = sorted(self.template.fields & ANALYSIS_FIELDS)
        if late and not self.extras.need_analysis:
            raise SettingsError(f"{{{late[0]}}} in the name template needs --analyse")
        if late and self.skip_existing:
            raise SettingsError(
                f"--skip-existing cannot find names with {{{late[0]}}}, which is only known of an analysed "
                "song; use --resume"
            )

    @property
    def is_named_late(self) -> bool:
        """Whether the names of the stems depend on what the analysis finds."""
        return bool(self.template.fields & ANALYSIS_FIELDS)

    @cached_property
    def storage(self) -> OutputFolder:
        """The folder, with its operations."""
        return LocalFolder(self.folder) if isinstance(self.folder, Path) else self.folder

    def check_reading(self, reading: ReadSettings) -> None:
        """Check that what is read of the songs can be written.

        Raises
        ------
        SettingsError
            An excerpt of a video would need its picture to be encoded anew.
        """
        if self.format in VIDEO_FORMATS and reading.is_excerpt:
            raise SettingsError(
                "the picture of a video is kept whole; leave --start, --end and --duration out, or choose m4a"
            )

    def check_stems(self, separator: BaseSeparator) -> None:
        """Check that the format can hold the stems that are made.

        Raises
        ------
        SettingsError
            A stem file has four stems that sum to the song, no more and no less.
        """
        if self.format not in MULTITRACK_FORMATS:
            return
        n_stems, stems = len(separator.stems), ", ".join(separator.stems)
        if n_stems != N_STEMS:
            raise SettingsError(
                f"a {self.format} holds {N_STEMS} stems, and here it would be {n_stems} ({stems}); "
                "leave --stems, --karaoke and --drums out, or choose another --format"
            )
        if not separator.is_complete:
            raise SettingsError(
                f"a {self.format} is played as the sum of its stems, and {stems} are not the whole song; "
                "add --residual in place of one of them, or choose another --format"
            )

    @property
    def output_dir(self) -> Path:
        """The local folder in which stems are written."""
        return self.storage.path
