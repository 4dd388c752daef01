"""One song: read, separated and written while it is read."""

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from stemsplit.audio.encoding import choose_encoding
from stemsplit.audio.info import AudioInfo
from stemsplit.audio.reader import AudioReader, open_audio
from stemsplit.audio.stem_set import StemSet
from stemsplit.audio.tags import read_tags
from stemsplit.audio.wav_pipe import WavStream
from stemsplit.audio.write_report import WriteReport
from stemsplit.dsp.meter import StemMeter
from stemsplit.errors import AudioError, OutputError, StemsplitError
from stemsplit.jobs.cancellation import Cancellation, read_stdin
from stemsplit.jobs.inputs import SongInput
from stemsplit.jobs.journal import Journal
from stemsplit.jobs.plan import Job, OutputSettings, Provenance, fail, refuse
from stemsplit.jobs.result import FileResult, Status
from stemsplit.separation.separator import Separator
from stemsplit.types import FloatArray

# a stream of these has exactly the length that its header declares
_EXACT_SUBTYPES = ("PCM_", "FLOAT", "DOUBLE")


class ProgressListener(Protocol):
    """Hears how songs get on, from the threads that work on them."""

    def start(self, job: Job, info: AudioInfo) -> None:
        """`job` has been opened."""

    def advance(self, job: Job, n_samples: int) -> None:
        """`n_samples` more samples of every stem are finished."""

    def finish(self, job: Job, result: FileResult) -> None:
        """`job` is over."""


class NoProgress:
    """A listener that does not listen."""

    def start(self, job: Job, info: AudioInfo) -> None:
        """Do nothing."""

    def advance(self, job: Job, n_samples: int) -> None:
        """Do nothing."""

    def finish(self, job: Job, result: FileResult) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class SongWorker:
    """Separates songs, in as many threads as it is called from.

    Parameters
    ----------
    separator
        Shared by all songs.
    delivery
        How stems are stored.
    journal
        Told of every finished song; None for none.
    listener, cancellation
        Who hears of the progress, and who may stop it.
    """

    separator: Separator
    delivery: OutputSettings
    journal: Journal | None = None
    listener: ProgressListener = field(default_factory=NoProgress)
    cancellation: Cancellation = field(default_factory=Cancellation)

    def attempt(self, job: Job, *, step: Callable[[Job], FileResult]) -> FileResult:
        """Take one `step` (a method below) with `job`; an error becomes a failed result.

        Raises
        ------
        Cancelled
            If somebody asked to stop; nothing of the song is left.
        """
        self.cancellation.check()
        result = job.settled
        if result is None:
            try:
                result = step(job)
            except Exception as error:  # noqa: BLE001 - a bug met in one song must not lose the others
                result = self._fail(job, blame(error))
        self.listener.finish(job, result)
        return result

    def write_files(self, job: Job) -> FileResult:
        """Separate the song of `job` into its files."""
        started_s = time.perf_counter()
        key = self._journal_key(job)
        with self._open(job.source) as reader:
            info = reader.info
            stems = StemSet(
                job.outputs,
                sample_rate=info.sample_rate,
                n_channels=info.n_channels,
                encoding=choose_encoding(self.delivery.format, self.delivery.bits, info),
                tags=read_tags(job.source.path) if job.source.path else None,
                replaceable=job.replaceable,
            )
            with stems:
                meter = self._stream(job, reader, stems.write)
                report = self._commit(job, key, stems)
        return self._describe(job, info, report, meter, time.perf_counter() - started_s)

    def write_stdout(self, job: Job) -> FileResult:
        """Separate the song of `job` into a wav stream on standard output."""
        started_s = time.perf_counter()
        (stem,) = self.separator.stems
        with self._open(job.source) as reader:
            info = reader.info
            pipe = WavStream(
                sys.stdout.buffer,
                sample_rate=info.sample_rate,
                n_channels=info.n_channels,
                encoding=choose_encoding("wav", self.delivery.bits or "32f", info),
                n_samples=info.n_samples if info.subtype.startswith(_EXACT_SUBTYPES) else None,
            )
            with pipe:
                meter = self._stream(job, reader, lambda estimates: pipe.write(estimates[stem]))
                report = pipe.commit()
        return self._describe(job, info, report, meter, time.perf_counter() - started_s)

    def inspect(self, job: Job) -> FileResult:
        """Read no more than the header of the song and say what would be done."""
        for path in job.outputs.values():
            check_folder(path)
        if job.source.is_stdin:
            return self._describe(job, None)
        with self._open(job.source) as reader:
            choose_encoding(self.delivery.format, self.delivery.bits, reader.info)
            return self._describe(job, reader.info)

    def _fail(self, job: Job, error: Exception) -> FileResult:
        # Ctrl-C also ends the program that feeds the pipe: the song then breaks off, which is no failure
        self.cancellation.check()
        return fail(job.source, error, outputs=job.outputs)

    def _open(self, source: SongInput) -> AudioReader:
        if source.problem:
            raise AudioError(source.problem)
        return open_audio(read_stdin(self.cancellation) if source.path is None else source.path)

    def _stream(
        self, job: Job, reader: AudioReader, write: Callable[[dict[str, FloatArray]], object]
    ) -> StemMeter:
        """Separate what `reader` reads and `write` it; return what can be told of the stems."""
        info = reader.info
        meter = StemMeter()
        self.listener.start(job, info)
        stream = self.separator.stream(
            self._read(reader), sample_rate=info.sample_rate, n_channels=info.n_channels, meter=meter
        )
        with closing(stream):
            for estimates in stream:
                self.cancellation.check()
                write(estimates)
                self.listener.advance(job, next(iter(estimates.values())).shape[-1])
        self.cancellation.check()
        return meter

    def _read(self, reader: AudioReader) -> Iterator[FloatArray]:
        """Blocks of the song; a first pass over all of it can be stopped here only."""
        for block in reader.blocks():
            self.cancellation.check()
            yield block

    def _commit(self, job: Job, key: str | None, stems: StemSet) -> WriteReport:
        report = stems.complete()
        self._check_owned(job)
        if self.journal is None or key is None:
            stems.place()
            return report
        models = [asdict(model) for model in self._provenance.models]
        self.journal.begin(key, job.outputs, stems.parts, models)
        stems.place()
        self.journal.finish(key, job.outputs, models)
        return report

    def _check_owned(self, job: Job) -> None:
        """Keep a file that took the place of a stem since the run was planned."""
        if self.delivery.overwrite or self.journal is None:
            return
        for path in job.outputs.values():
            if path in job.replaceable and os.path.lexists(path) and not self.journal.owns(path):
                raise refuse(path, self.delivery)

    def _journal_key(self, job: Job) -> str | None:
        """Identify the song before it is read: a change while it is being read is a change."""
        if self.journal is None or job.source.path is None:
            return None
        try:
            return self._provenance.key(job.source.path, job.outputs)
        except OSError:  # opening the song will say it better
            return None

    def _describe(
        self,
        job: Job,
        info: AudioInfo | None,
        report: WriteReport | None = None,
        meter: StemMeter | None = None,
        elapsed_s: float | None = None,
    ) -> FileResult:
        known: dict[str, Any] = {}
        if info is not None:
            n_samples = info.n_samples if report is None else report.n_samples
            duration_s = None if n_samples is None else n_samples / info.sample_rate
            known |= {"sample_rate": info.sample_rate, "n_channels": info.n_channels}
            known |= {"n_samples": n_samples, "duration_s": duration_s}
            if elapsed_s is not None and duration_s is not None:
                known |= {"elapsed_s": elapsed_s, "speed": duration_s / elapsed_s}
        if report is not None:
            known |= {"gain": report.gain, "clipped_samples": report.clipped_samples}
            known |= {"note": "; ".join(report.notes) or None}
        if meter is not None:
            masked, expected_db = self.separator.masked_stems, meter.expected_sdr_db()
            known |= {"levels_db": meter.levels_db()}
            known |= {"expected_sdr_db": {s: db if s in masked else None for s, db in expected_db.items()}}
        made = self._provenance
        return FileResult(
            job.source.label,
            Status.PLANNED if report is None else Status.DONE,
            outputs=job.outputs,
            device=made.device,
            models=made.models,
            settings=made.settings,
            **known,
        )

    @property
    def _provenance(self) -> Provenance:
        return Provenance.of(self.separator, self.delivery)


def check_folder(path: Path) -> None:
    """Tell, without writing, whether the folder of `path` is there or can be made.

    Raises
    ------
    OutputError
        If it cannot.
    """
    existing = next(folder for folder in path.absolute().parents if folder.exists())
    if path.is_dir() or not existing.is_dir() or not os.access(existing, os.W_OK):
        raise OutputError(f"{path}: cannot be written below {existing}; choose another folder with --output")


class BugError(StemsplitError):
    """An error that should never have been met."""


def blame(error: Exception) -> Exception:
    """Return `error` if it is one that a song may meet, or else the bug that it shows."""
    if isinstance(error, StemsplitError | OSError | MemoryError):
        return error
    place = traceback.extract_tb(error.__traceback__)[-1]
    return BugError(
        f"unexpected {type(error).__name__}: {error} (line {place.lineno} of {place.name}); "
        "this is a bug in stemsplit, please report it"
    )
