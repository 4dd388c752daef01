"""The worker: reads one song, separates it and writes its stems, block by block."""

import sys
import time
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import KW_ONLY, asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stemsplit.audio.choice import is_pipe
from stemsplit.audio.encoding import VIDEO_FORMATS, Encoding, choose_encoding
from stemsplit.audio.info import AudioInfo
from stemsplit.audio.read_settings import ReadSettings
from stemsplit.audio.reader import AudioReader, open_audio
from stemsplit.audio.wav_pipe import WavStream
from stemsplit.audio.write_report import WriteReport
from stemsplit.dsp.meter import StemMeter
from stemsplit.errors import AudioError
from stemsplit.jobs.cancellation import Cancellation, open_fifo, read_stdin
from stemsplit.jobs.failure import wrap_bug
from stemsplit.jobs.inputs import SongInput
from stemsplit.jobs.journal import Journal
from stemsplit.jobs.output_folder import check_folder
from stemsplit.jobs.output_settings import OutputSettings
from stemsplit.jobs.plan import (
    Job,
    decide,
    existing_file_error,
    failed_result,
    locate_outputs,
    name_analysed,
)
from stemsplit.jobs.progress import NoProgress, ProgressListener
from stemsplit.jobs.provenance import Origin, Provenance
from stemsplit.jobs.result import FileResult, Status
from stemsplit.jobs.song_files import SongFiles
from stemsplit.jobs.song_locks import SongIsHeld, hold_when_free
from stemsplit.jobs.song_names import name_files
from stemsplit.jobs.song_report import Streamed, describe_song
from stemsplit.separation.base_separator import BaseSeparator, Routed
from stemsplit.types import FloatArray

if TYPE_CHECKING:
    from stemsplit.audio.picture import VideoSource
    from stemsplit.music.analysis import Analyser, SongAnalysis

# subtypes whose headers state the exact length
_EXACT_SUBTYPES = ("PCM_", "FLOAT", "DOUBLE")


@dataclass(frozen=True)
class SongWorker:
    """Separates songs; safe to call from several threads.

    Parameters
    ----------
    separator
        Shared by all songs.
    output
        How the stems are written.
    reading
        Which part of the songs is read, which track, and whether damaged ones are salvaged.
    journal
        Records every finished song; None for no journal.
    listener
        Is called with the progress.
    cancellation
        Stops the songs in progress.
    waits
        Wait for a song that another run is separating into the same folder; otherwise raise `SongIsHeld`.

    Raises
    ------
    SettingsError
        If the format cannot hold the stems that `separator` makes.
    """

    separator: BaseSeparator
    output: OutputSettings
    reading: ReadSettings = field(default_factory=ReadSettings)
    _: KW_ONLY
    journal: Journal | None = None
    listener: ProgressListener = field(default_factory=NoProgress)
    cancellation: Cancellation = field(default_factory=Cancellation)
    waits: bool = True

    def __post_init__(self) -> None:
        self.output.check_stems(self.separator)

    def run(self, job: Job, *, step: Callable[[Job], FileResult]) -> FileResult:
        """Run `step`, one of the methods below, on `job`; an exception becomes a failed result.

        Raises
        ------
        Cancelled
            If the run is to stop; no file of the song is left.
        SongIsHeld
            If another run is separating the song, and this one does not wait.
        """
        self.cancellation.check()
        result = job.result
        if result is None:
            try:
                result = step(job)
            except SongIsHeld:
                raise
            except Exception as error:  # noqa: BLE001 - a bug that one song triggers must not stop the others
                result = self._fail(job, wrap_bug(error))
        self.listener.finish(job, result)
        return result

    def write_files(self, job: Job) -> FileResult:
        """Separate the song of `job` into its files."""
        with self._hold(job):
            decided = self._decide_again(job)
            return decided.result or self._write_files(decided)

    def _write_files(self, job: Job) -> FileResult:
        started_s = time.perf_counter()
        # before the song is decoded, so that later changes are detected
        origin = None if self.journal is None else Origin.find(self._provenance, job.source, job.missing)
        with job.source.fetch() as path, self._open(job.source, path) as reader:
            info = reader.info
            encoding = self._choose_encoding(info)
            video = _find_video(path, encoding, info)
            with SongFiles(job, info, encoding, self.output, song=path, video=video) as files:
                chosen = self._route(job, reader)
                analyser = self._make_analyser(info, chosen.separator)
                streamed = self._stream(job, info, chosen, files.write, analyser)
                found = None if analyser is None else analyser.finish()
                report, job = self._commit(job, origin, files, found)
        return self._describe(job, reader, report, streamed, time.perf_counter() - started_s, found=found)

    def write_stdout(self, job: Job) -> FileResult:
        """Separate the song of `job` into a wav stream on standard output; the separator has one stem."""
        started_s = time.perf_counter()
        (stem,) = self.separator.stems
        with job.source.fetch() as path, self._open(job.source, path) as reader:
            info = reader.info
            pipe = WavStream(
                sys.stdout.buffer,
                sample_rate=info.sample_rate,
                n_channels=info.n_channels,
                encoding=choose_encoding("wav", self.output.bits or "32f", info),
                n_samples=info.n_samples if info.subtype.startswith(_EXACT_SUBTYPES) else None,
            )
            with pipe:
                chosen = self._route(job, reader)
                streamed = self._stream(job, info, chosen, lambda estimates: pipe.write(estimates[stem]))
                report = pipe.commit()
        return self._describe(job, reader, report, streamed, time.perf_counter() - started_s)

    def inspect(self, job: Job) -> FileResult:
        """Read the header of the song only, and return what would be done."""
        if not self.output.storage.is_remote:
            for output in job.files.values():
                check_folder(output)
        if job.source.is_stdin:
            return self._describe(job, None)
        with job.source.fetch() as path, self._open(job.source, path) as reader:
            _find_video(path, self._choose_encoding(reader.info), reader.info)
            return self._describe(job, reader)

    @contextmanager
    def _hold(self, job: Job) -> Iterator[None]:
        """Keep other runs that share the output folder from the song."""
        if self.journal is None or self.output.storage.is_remote:
            yield
            return
        folder = self.output.output_dir
        with hold_when_free(folder, job.name, waits=self.waits, cancellation=self.cancellation):
            yield

    def _decide_again(self, job: Job) -> Job:
        """Return the job as it would be planned now: another run may have made its stems meanwhile."""
        if self.journal is None or not (self.output.resume or self.output.skip_existing):
            return job
        planned = Job(job.source, job.outputs, name=job.name, extras=job.extras)
        return decide(planned, self._provenance, self.output, self.journal)

    def _fail(self, job: Job, error: Exception) -> FileResult:
        # Ctrl-C also ends the program that writes to the pipe: a song truncated by it is not a failure
        self.cancellation.check()
        return failed_result(job.source, error, **locate_outputs(job, self.output))

    def _choose_encoding(self, info: AudioInfo) -> Encoding:
        return choose_encoding(self.output.format, self.output.bits, info, self.output.bitrate_kbps)

    @contextmanager
    def _open(self, source: SongInput, path: Path | None) -> Iterator[AudioReader]:
        if source.problem:
            raise AudioError(source.problem)
        with ExitStack() as opened:
            if path is None:
                reader = open_audio(read_stdin(self.cancellation), settings=self.reading)
            elif is_pipe(path):
                pipe = opened.enter_context(open_fifo(path, self.cancellation))
                reader = open_audio(pipe, settings=self.reading, name=source.label)
            else:
                reader = open_audio(path, settings=self.reading)
            yield opened.enter_context(reader)

    def _route(self, job: Job, reader: AudioReader) -> Routed:
        """Choose the separator of the song of `reader`, of which the beginning may be read for it."""
        info = reader.info
        self.listener.start(job, info)
        return self.separator.route(
            self._read(reader), sample_rate=info.sample_rate, n_channels=info.n_channels
        )

    def _read(self, reader: AudioReader) -> Iterator[FloatArray]:
        """Yield the blocks of the song; the only place where a first pass over it can be cancelled."""
        for block in reader.blocks():
            self.cancellation.check()
            yield block

    def _make_analyser(self, info: AudioInfo, separator: BaseSeparator) -> "Analyser | None":
        if not self.output.extras.need_analysis:
            return None
        from stemsplit.music.analysis import Analyser

        timelines = [model.begin(sample_rate=info.sample_rate) for model in separator.activity_models]
        return Analyser(sample_rate=info.sample_rate, n_channels=info.n_channels, timelines=timelines)

    def _stream(
        self,
        job: Job,
        info: AudioInfo,
        chosen: Routed,
        write: Callable[[dict[str, FloatArray]], object],
        analyser: "Analyser | None" = None,
    ) -> Streamed:
        """Separate a song by the separator that is `chosen`, pass its stems to `write`, and measure them."""
        meter = StemMeter()
        stream = chosen.separator.stream(
            chosen.blocks if analyser is None else _analyse(chosen.blocks, analyser),
            sample_rate=info.sample_rate,
            n_channels=info.n_channels,
            meter=meter,
        )
        with closing(stream):
            for estimates in stream:
                self.cancellation.check()
                write(estimates)
                if analyser is not None:
                    analyser.process_stems(estimates)
                self.listener.advance(job, next(iter(estimates.values())).shape[-1])
        self.cancellation.check()
        return Streamed(meter, chosen)

    def _commit(
        self, job: Job, origin: Origin | None, files: SongFiles, found: "SongAnalysis | None"
    ) -> tuple[WriteReport, Job]:
        """Complete the files and give them their names; return the job with these names."""
        named = job if found is None else name_analysed(job, found, self.output)
        if named is not job:
            files.rename(named)
        report, absent = files.complete(found)
        names = {} if found is None else self._map_names(named, absent)
        extras = {name: path for name, path in named.extras.items() if name not in absent}
        named = replace(named, extras=extras)
        replaced = self._find_replaced(named)
        written = {**named.missing, **named.missing_extras}
        if self.journal is None or origin is None:
            files.place()
            self.output.storage.publish(written.values(), replaced)
            return report, named
        models = [asdict(model) for model in self._provenance.models]
        source = origin.record
        self.journal.begin(
            job.name, origin.key, written, files.parts, models=models, source=source, names=names
        )
        files.place()
        self.output.storage.publish(written.values(), replaced)
        self.journal.finish(job.name, origin.key, written, models=models, source=source)
        return report, named

    def _map_names(self, job: Job, absent: Container[str]) -> dict[Path, Path | None]:
        """Return what became of the paths that were planned for an analysed song, if anything did."""
        planned = name_files(job.source, job.outputs, self.output)
        names: dict[Path, Path | None] = {
            path: job.files[name]
            for name, path in {**planned.outputs, **planned.extras}.items()
            if job.files.get(name, path) != path
        }
        return names | {path: None for name, path in planned.extras.items() if name in absent}

    def _find_replaced(self, job: Job) -> frozenset[Path]:
        """Return the files that the stems replace.

        Raises
        ------
        OutputError
            If a file has taken the path of a stem since the run was planned.
        """
        paths = (*job.missing.values(), *job.missing_extras.values())
        if self.output.overwrite or self.journal is None:
            return frozenset(paths)
        present = self.output.storage.find_marks(paths)
        # by resumed runs, also those of a run that has finished the song meanwhile
        owned = self.journal.find_owned(job.name, present) if self.output.resume and present else frozenset()
        for path in present:
            # on a disk, all others are noticed when the stems get their names
            if path not in owned and (path in job.replaceable or self.output.storage.is_remote):
                raise existing_file_error(path, self.output)
        return owned

    def _describe(
        self,
        job: Job,
        reader: AudioReader | None,
        report: WriteReport | None = None,
        streamed: Streamed | None = None,
        elapsed_s: float | None = None,
        *,
        found: "SongAnalysis | None" = None,
    ) -> FileResult:
        made, known = self._provenance, {} if reader is None else describe_song(reader, report, elapsed_s)
        settings = made.settings
        if streamed is not None:
            known |= streamed.describe()
            made = Provenance.of(streamed.chosen.separator, self.output, self.reading)
        return FileResult(
            job.source.label,
            Status.PLANNED if report is None else Status.DONE,
            **locate_outputs(job, self.output),
            device=made.device,
            models=made.models,
            settings=settings,
            analysis=found,
            **known,
        )

    @property
    def _provenance(self) -> Provenance:
        return Provenance.of(self.separator, self.output, self.reading)


def _analyse(blocks: Iterable[FloatArray], analyser: "Analyser") -> Iterator[FloatArray]:
    """Yield the blocks of a mixture, which the analyser takes too."""
    for block in blocks:
        analyser.process_mixture(block)
        yield block


def _find_video(path: Path | None, encoding: Encoding, info: AudioInfo) -> "VideoSource | None":
    """Return the video whose picture the stems get, None for a format without pictures.

    Raises
    ------
    OutputError
        If the format cannot hold the picture.
    """
    if encoding.format not in VIDEO_FORMATS:
        return None
    from stemsplit.audio.picture import VideoSource, check_picture

    assert path is not None and info.sound_start_s is not None
    check_picture(path)
    return VideoSource(path, info.sound_start_s)
