"""Reports: a song is separated into a temporary folder, and one page is made of it."""

import os
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from stemsplit.audio.read_settings import ReadSettings
from stemsplit.audio.tags import read_tags
from stemsplit.errors import OutputError, SettingsError
from stemsplit.files.atomic import explaining
from stemsplit.files.pending import PendingFile
from stemsplit.jobs.cancellation import Cancellation
from stemsplit.jobs.claims import Claims
from stemsplit.jobs.extras import ExtraSettings
from stemsplit.jobs.inputs import SongInput
from stemsplit.jobs.output_settings import OutputSettings
from stemsplit.jobs.plan import existing_file_error, plan_jobs
from stemsplit.jobs.progress import NoProgress, ProgressListener
from stemsplit.jobs.provenance import Provenance
from stemsplit.jobs.result import FileResult
from stemsplit.jobs.song_names import name_files
from stemsplit.jobs.worker import SongWorker
from stemsplit.music.report import make_report
from stemsplit.separation.base_separator import BaseSeparator

REPORT = "report"
MAX_EXCERPT_S = 120.0


@dataclass(frozen=True)
class Reporter:
    """Makes the pages of songs, one after the other; no page replaces that of another song.

    Parameters
    ----------
    separator
        Whose stems the pages show; they must sum to the song.
    output
        Where the pages are written, and how they are named.
    excerpt_s
        Length of the excerpts in seconds, 0 (none) to `MAX_EXCERPT_S`.
    reading
        Which part of the songs is read, which track, and whether damaged ones are salvaged.
    cancellation
        Stops the song in progress.
    listener
        Is called with the progress.

    Raises
    ------
    SettingsError
        If the stems do not sum to the song, or the length is out of its range.
    """

    separator: BaseSeparator
    output: OutputSettings
    excerpt_s: float = 20.0
    reading: ReadSettings = field(default_factory=ReadSettings)
    cancellation: Cancellation = field(default_factory=Cancellation)
    listener: ProgressListener = field(default_factory=NoProgress)
    claims: Claims = field(default_factory=Claims)

    def __post_init__(self) -> None:
        if not 0 <= self.excerpt_s <= MAX_EXCERPT_S:
            raise SettingsError(
                f"an excerpt has 0 (none) to {MAX_EXCERPT_S:.0f} seconds, not {self.excerpt_s:g}"
            )
        if not self.separator.is_complete:
            raise SettingsError(
                f"the stems of a report sum to the song, and {', '.join(self.separator.stems)} do not; "
                "choose one --model"
            )

    def report(self, source: SongInput) -> FileResult:
        """Make the page of one song.

        Raises
        ------
        AudioError
            If it cannot be read.
        OutputError
            If the page exists, or cannot be written.
        Cancelled
            If the run is to stop; no page is left.
        """
        path = self._name(source)
        pending = PendingFile(path, overwrite=self.output.overwrite)
        with tempfile.TemporaryDirectory(prefix="stemsplit-") as folder:
            result = self._separate(source, Path(folder))
            assert result.analysis is not None
            page = make_report(_find_title(source), result.outputs, result.analysis, self.excerpt_s)
        try:
            pending.prepare()
            with explaining(path), pending.open() as file:
                file.write(page)
                os.fsync(file.fileno())
            pending.place()
        finally:
            pending.discard()
        note = "; ".join(filter(None, (result.note, f"{len(page) / 1e6:.1f} MB")))
        return replace(result, outputs={REPORT: path}, extras={}, note=note, gain=None, clipped_samples=None)

    def _name(self, source: SongInput) -> Path:
        """Return the path of the page; raise an `OutputError` if it is taken."""
        output = replace(self.output, extras=ExtraSettings())
        values = name_files(source, (REPORT,), output, extension="html")
        path = values.outputs[REPORT]
        collision = self.claims.claim(source.label, {"report": path})
        if collision is not None:
            raise OutputError(f"{collision}; give --name a template that keeps them apart")
        if not self.output.overwrite and self.output.storage.exists(path):
            raise existing_file_error(path, self.output, can_skip=False)
        return path

    def _separate(self, source: SongInput, folder: Path) -> FileResult:
        """Write the stems to a folder; excerpts and pictures are made of float, which nothing clips."""
        output = OutputSettings(folder, bits="32f", extras=ExtraSettings(analyse=True))
        worker = SongWorker(
            self.separator, output, self.reading, listener=self.listener, cancellation=self.cancellation
        )
        (job,) = plan_jobs([source], Provenance.of(self.separator, output, self.reading), output, None)
        if job.result is not None:
            raise OutputError(job.result.error)
        return worker.write_files(job)


def _find_title(source: SongInput) -> str:
    """Return artist and title, or the name of the file."""
    # a named pipe has been read, and to open it again would block
    tags = read_tags(source.path) if source.path is not None and source.path.is_file() else None
    if tags is None or not tags.title:
        return source.track
    return f"{tags.artist}: {tags.title}" if tags.artist else tags.title
