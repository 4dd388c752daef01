"""The files of one song on their way to their names: its stems, and what is written beside them.

All of them appear together, or none. Where names depend on the analysis, the files are kept in the output
folder itself until the song is analysed.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from stemsplit.audio.encoding import MULTITRACK_FORMATS, Encoding
from stemsplit.audio.info import AudioInfo
from stemsplit.audio.stem_mp4 import ALL_STEMS, StemMp4
from stemsplit.audio.stem_set import StemSet
from stemsplit.audio.tags import Tags, read_tags
from stemsplit.audio.write_report import WriteReport
from stemsplit.files.atomic import explaining
from stemsplit.files.names import MAX_NAME_BYTES, shorten
from stemsplit.files.pending import PendingFile, PendingFolder, place_all
from stemsplit.jobs.extras import Material, list_extras
from stemsplit.jobs.output_settings import OutputSettings
from stemsplit.jobs.plan import Job
from stemsplit.types import FloatArray

if TYPE_CHECKING:
    from stemsplit.audio.picture import VideoSource
    from stemsplit.music.analysis import SongAnalysis


class SongFiles:
    """The files of the song of `job`; a context manager that removes what was not placed.

    Parameters
    ----------
    job
        Names the files; those that it keeps are not written.
    info
        Of the song.
    encoding
        Of the stems.
    output
        Where they are written.
    song
        The file of the song, if there is one, whose tags the stems get. They are read with the first block:
        before, a network waits for the song.
    video
        Whose picture the stems get, for a format of videos.

    Raises
    ------
    OutputError
        On entering: a file exists, or cannot be made. Later: the disk is full, read-only, gone.
    """

    def __init__(
        self,
        job: Job,
        info: AudioInfo,
        encoding: Encoding,
        output: OutputSettings,
        *,
        song: Path | None = None,
        video: "VideoSource | None" = None,
    ) -> None:
        self._n_samples = 0
        self._song = song
        self._opened = ExitStack()
        staged = _stage(job, output) if output.is_named_late else job
        self._kept = {stem: path for stem, path in job.outputs.items() if stem in job.kept}
        self._made = {
            extra.name: extra for extra in list_extras(output.extras, job.outputs, format=output.format)
        }
        self._extras = {
            name: self._pend(name, path, overwrite=path in staged.replaceable)
            for name, path in staged.missing_extras.items()
        }
        self._stems: StemSet | StemMp4 | None = None
        if staged.missing and encoding.format in MULTITRACK_FORMATS:
            path = staged.missing[ALL_STEMS]
            self._stems = StemMp4(
                path,
                sample_rate=info.sample_rate,
                n_channels=info.n_channels,
                encoding=encoding,
                overwrite=path in staged.replaceable,
            )
        elif staged.missing:
            self._stems = StemSet(
                staged.missing,
                sample_rate=info.sample_rate,
                n_channels=info.n_channels,
                encoding=encoding,
                channel_mask=info.channel_mask,
                video=video,
                replaceable=staged.replaceable,
            )

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            for pending in self._extras.values():
                opened.callback(pending.discard)
                pending.prepare()
            if self._stems is not None:
                opened.enter_context(self._stems)
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def write(self, estimates: Mapping[str, FloatArray]) -> None:
        """Append a block to every stem."""
        self._n_samples += next(iter(estimates.values())).shape[-1]
        if self._stems is not None:
            self._tag(self._stems)
            self._stems.write(estimates)

    def _tag(self, stems: StemSet | StemMp4) -> None:
        """Give the stems the tags of the song, once."""
        song, self._song = self._song, None
        if song is not None and song.is_file():
            stems.add_tags(read_tags(song))

    def rename(self, job: Job) -> None:
        """Change the names of the files to those of `job`, which has the same files."""
        for name, path in job.missing_extras.items():
            self._extras[name].rename(path, overwrite=path in job.replaceable)
        if self._stems is not None:
            self._stems.rename(job.missing, replaceable=job.replaceable)

    def complete(self, found: "SongAnalysis | None") -> tuple[WriteReport, frozenset[str]]:
        """Write what is `found` into tags and files, and force everything to disk.

        Returns
        -------
        WriteReport
            Of the stems.
        frozenset
            The extras that the song does not have.
        """
        report = WriteReport(1.0, 0, 0.0, self._n_samples, ())
        if self._stems is not None:
            if found is not None and "analysis" in self._made:
                self._stems.add_tags(make_tags(found))
            report = self._stems.complete()
        if found is None:
            return report, frozenset()
        stems = {} if self._stems is None else self._stems.parts
        material = Material({**self._kept, **stems}, found)
        absent = self._write_extras(material)
        notes = [describe(material) for name in self._extras if (describe := self._made[name].describe)]
        if absent:
            notes.append(f"not written, since the song has none: {', '.join(sorted(absent))}")
        return replace(report, notes=(*report.notes, *notes)), absent

    def _write_extras(self, material: Material) -> frozenset[str]:
        absent = set()
        for name, pending in list(self._extras.items()):
            with explaining(pending.path):
                if not self._made[name].write(pending.part, material):
                    absent.add(name)
                    self._extras.pop(name).discard()
        return frozenset(absent)

    def _pend(self, name: str, path: Path, *, overwrite: bool) -> PendingFile:
        is_own = self._made[name].is_own
        if is_own is None:
            return PendingFile(path, overwrite=overwrite)
        return PendingFolder(path, overwrite=overwrite, is_own=is_own)

    @property
    def parts(self) -> dict[str, Path]:
        """The temporary file of every file."""
        stems = {} if self._stems is None else self._stems.parts
        return {**stems, **{name: pending.part for name, pending in self._extras.items()}}

    def place(self) -> None:
        """Give every file its name, or after an error none, see `pending.place_all`."""
        stems = [] if self._stems is None else self._stems.pending
        place_all([*stems, *self._extras.values()])


def make_tags(found: "SongAnalysis") -> Tags:
    """Return what an analysis found as tags."""
    bpm = "" if found.beats is None else f"{found.beats.bpm:.2f}".rstrip("0").rstrip(".")
    return Tags(bpm=bpm, key="" if found.key is None else found.key.tag)


def _stage(job: Job, output: OutputSettings) -> Job:
    """Return a job whose files are all in the output folder, under the names that they have so far."""

    def stage(paths: Mapping[str, Path]) -> dict[str, Path]:
        flat = {name: "~".join(path.relative_to(output.output_dir).parts) for name, path in paths.items()}
        return {name: output.output_dir / shorten(text, MAX_NAME_BYTES) for name, text in flat.items()}

    return replace(job, outputs=stage(job.outputs), extras=stage(job.extras), replaceable=frozenset())
