"""Unpacking: the mixture and the stems of a stem file, each as a file of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from stemsplit.audio.choice import is_pipe
from stemsplit.audio.encoding import MULTITRACK_FORMATS, VIDEO_FORMATS, choose_encoding
from stemsplit.audio.extensions import STEM_ENDINGS
from stemsplit.audio.read_settings import ReadSettings
from stemsplit.audio.stem_set import StemSet
from stemsplit.audio.stem_tracks import StemTracks
from stemsplit.audio.tags import read_tags
from stemsplit.audio.write_report import WriteReport
from stemsplit.errors import AudioError, OutputError, SettingsError
from stemsplit.jobs.cancellation import Cancellation
from stemsplit.jobs.claims import Claims
from stemsplit.jobs.inputs import FileKind, SongInput
from stemsplit.jobs.name_template import DEFAULT_TEMPLATE, NameTemplate
from stemsplit.jobs.output_settings import OutputSettings
from stemsplit.jobs.plan import existing_file_error
from stemsplit.jobs.result import FileResult, Status
from stemsplit.jobs.song_names import name_files


def _is_stem_file(path: Path) -> bool:
    return path.name.lower().endswith(STEM_ENDINGS)


STEM_FILES: Final = FileKind(f"stem file ({' or '.join(STEM_ENDINGS)})", _is_stem_file)


@dataclass(frozen=True)
class Unpacker:
    """Unpacks stem files, one after the other; no file of one replaces a file of another.

    Parameters
    ----------
    output
        How the parts are written.
    reading
        Which part of the songs is read, and whether damaged ones are salvaged.
    cancellation
        Stops the file in progress.

    Raises
    ------
    SettingsError
        If the format holds several parts in one file, or a picture.
    """

    output: OutputSettings
    reading: ReadSettings = field(default_factory=ReadSettings)
    cancellation: Cancellation = field(default_factory=Cancellation)
    claims: Claims = field(default_factory=Claims)

    def __post_init__(self) -> None:
        if self.output.format in (*MULTITRACK_FORMATS, *VIDEO_FORMATS):
            raise SettingsError(
                f"every part becomes a file of its own, which {self.output.format} is not for; "
                "choose another --format, such as flac"
            )

    def unpack(self, source: SongInput) -> FileResult:
        """Unpack one file.

        Raises
        ------
        AudioError
            If it is missing, damaged or no stem file.
        OutputError
            If a part exists already, or cannot be written.
        Cancelled
            If the run is to stop; no part of the file is left.
        """
        path = _find_path(source)
        with StemTracks(path, self.reading) as tracks:
            info = tracks.info
            paths = dict(name_files(source, tracks.names, self.output).outputs)
            result = FileResult(
                source.label,
                Status.SKIPPED,
                outputs=paths,
                sample_rate=info.sample_rate,
                n_channels=info.n_channels,
            )
            if self._is_there(source, paths):
                return replace(result, note="all files exist")
            report = self._write(path, tracks, paths)
            return replace(
                result,
                status=Status.DONE,
                n_samples=report.n_samples,
                duration_s=report.n_samples / info.sample_rate,
                gain=report.gain,
                clipped_samples=report.clipped_samples,
                note="; ".join((*tracks.notes, *report.notes)) or None,
            )

    def _write(self, path: Path, tracks: StemTracks, paths: Mapping[str, Path]) -> WriteReport:
        info, output = tracks.info, self.output
        with StemSet(
            paths,
            sample_rate=info.sample_rate,
            n_channels=info.n_channels,
            encoding=choose_encoding(output.format, output.bits, info, output.bitrate_kbps),
            channel_mask=info.channel_mask,
            tags=read_tags(path),
            replaceable=paths.values() if output.overwrite else (),
        ) as parts:
            for blocks in tracks.blocks():
                self.cancellation.check()
                parts.write(blocks)
            report = parts.complete()
            parts.place()
        return report

    def _is_there(self, source: SongInput, paths: dict[str, Path]) -> bool:
        """Return whether nothing is to be done; raise an `OutputError` for files that are in the way."""
        collision = self.claims.claim(source.label, paths)
        if collision is not None:
            raise OutputError(f"{collision}; give --name a template that keeps them apart")
        present = self.output.storage.find_marks(paths.values())
        if self.output.skip_existing and len(present) == len(paths):
            return True
        if present and not self.output.overwrite:
            first = next(path for path in paths.values() if path in present)
            raise existing_file_error(first, self.output, can_skip=not self.output.skip_existing)
        return False


def _find_path(source: SongInput) -> Path:
    if source.problem:
        raise AudioError(source.problem)
    if source.path is None or is_pipe(source.path):
        raise AudioError(f"{source.label}: unpack reads files, no streams and addresses; save it to one")
    return source.path


def unpack_file(
    path: Path | str,
    output_dir: Path | str,
    *,
    name: str = DEFAULT_TEMPLATE,
    format: str = "wav",
    bits: str | None = None,
    bitrate_kbps: int | None = None,
    overwrite: bool = False,
    start_s: float = 0.0,
    end_s: float | None = None,
    duration_s: float | None = None,
    salvage: bool = False,
) -> FileResult:
    """Write the mixture and the stems of a stem file, such as ``song.stem.mp4``, as files of their own.

    Parameters
    ----------
    path
        The stem file.
    output_dir
        The folder of its parts; created if it does not exist.
    name, format, bits, overwrite, start_s, end_s, duration_s, salvage
        As of `stemsplit.separate_file`.
    bitrate_kbps
        Of a lossy format, in kbit/s.

    Returns
    -------
    FileResult
        Its `outputs` are the parts by their names: ``mixture``, and the stems as the file calls them.

    Raises
    ------
    SettingsError
        If the template, the format or the excerpt is invalid.
    AudioError, OutputError
        If the file cannot be read, is no stem file, or its parts cannot be written; none is left then.

    Examples
    --------
    >>> unpack_file("song.stem.mp4", "parts", format="flac").outputs["drums"]  # doctest: +SKIP
    PosixPath('parts/song/drums.flac')
    """
    reading = ReadSettings.choose(start_s=start_s, end_s=end_s, duration_s=duration_s, salvage=salvage)
    output = OutputSettings(
        Path(output_dir), NameTemplate(name), format, bits, bitrate_kbps, overwrite=overwrite
    )
    return Unpacker(output, reading).unpack(SongInput(str(path), Path(path)))
