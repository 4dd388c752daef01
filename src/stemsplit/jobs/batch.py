"""Batches: many songs through one separator, several at a time, with results in the order of the songs."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, Unpack

from stemsplit.audio.info import AudioInfo
from stemsplit.audio.read_settings import ReadSettings
from stemsplit.errors import OutputError
from stemsplit.jobs.cancellation import Cancellation, Cancelled
from stemsplit.jobs.extras import ExtraSettings
from stemsplit.jobs.inputs import SongInput
from stemsplit.jobs.name_template import DEFAULT_TEMPLATE, NameTemplate
from stemsplit.jobs.output_settings import OutputSettings
from stemsplit.jobs.plan import Job, plan_jobs
from stemsplit.jobs.provenance import Provenance
from stemsplit.jobs.replacement import ReplacementSettings
from stemsplit.jobs.result import FileResult
from stemsplit.jobs.song_locks import SongIsHeld
from stemsplit.jobs.worker import SongWorker
from stemsplit.separation.base_separator import Progress
from stemsplit.separation.keywords import SeparatorKeywords
from stemsplit.separation.separator import Separator

if TYPE_CHECKING:
    from stemsplit.music.analysis import SongAnalysis

JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")

_POLL_S = 0.2
_POLL_HELD_S = 0.5
_MAX_QUEUED = 1000  # results that wait for an earlier song


def run_jobs(
    jobs: Iterable[JobT],
    work: Callable[[JobT], ResultT],
    *,
    cancellation: Cancellation,
    n_jobs: int = 1,
) -> Iterator[ResultT]:
    """Yield the result of every job, in the order of `jobs`; up to `n_jobs` run at a time.

    Songs that another run is separating (`SongIsHeld`) come last: by then it may have finished them.

    Jobs run in threads of their own, where signal handlers cannot interrupt them. They are drawn from `jobs`
    as they are needed, so that there may be any number. Jobs that `cancellation` stops have no result.
    """
    held: list[JobT] = []
    yield from _run_once(jobs, work, held, cancellation=cancellation, n_jobs=n_jobs)
    while held and not cancellation.requested:
        time.sleep(_POLL_HELD_S)
        again, held = held, []
        yield from _run_once(again, work, held, cancellation=cancellation, n_jobs=n_jobs)


def _run_once(
    jobs: Iterable[JobT],
    work: Callable[[JobT], ResultT],
    held: list[JobT],
    *,
    cancellation: Cancellation,
    n_jobs: int,
) -> Iterator[ResultT]:
    """Run every job once; those that another run holds are added to `held`."""

    def work_or_hold(job: JobT) -> ResultT | None:
        try:
            return work(job)
        except SongIsHeld:
            held.append(job)
            return None

    remaining = iter(jobs)
    pool = ThreadPoolExecutor(n_jobs, thread_name_prefix="song")
    futures: deque[Future[ResultT | None]] = deque()
    is_complete = False
    try:
        while not is_complete:
            n_unfinished = sum(not future.done() for future in futures)
            n_new = min(2 * n_jobs - n_unfinished, _MAX_QUEUED - len(futures))
            if n_new > 0 and not cancellation.requested:
                futures.extend(pool.submit(work_or_hold, job) for job in islice(remaining, n_new))
            is_complete = not futures
            _wait_for_one(futures)
            while futures and futures[0].done():
                result = _get_result(futures.popleft())
                if result is not None:
                    yield result
    finally:
        if not is_complete:
            cancellation.request()
        pool.shutdown(cancel_futures=True)


def _wait_for_one(futures: "Sequence[Future[ResultT | None]]") -> None:
    """Wait until the first future or one more of the others is done."""
    running = [future for future in futures if not future.done()]
    # with a timeout, since a wait without one cannot be interrupted on every platform
    while running and not futures[0].done():
        if wait(running, timeout=_POLL_S, return_when=FIRST_COMPLETED).done:
            return


def _get_result(future: "Future[ResultT | None]") -> ResultT | None:
    try:
        return future.result()
    except Cancelled:
        return None


def separate_file(
    separator: Separator,
    path: Path | str,
    output_dir: Path | str,
    *,
    name: str = DEFAULT_TEMPLATE,
    format: str = "wav",
    bits: str | None = None,
    overwrite: bool = False,
    extras: ExtraSettings | None = None,
    start_s: float = 0.0,
    end_s: float | None = None,
    duration_s: float | None = None,
    track: int | None = None,
    salvage: bool = False,
    progress: Progress | None = None,
) -> FileResult:
    """Separate one audio file into one file per stem.

    Parameters
    ----------
    separator
        An open separator; it stays open.
    path
        The song.
    output_dir
        The folder of the stems; created if it does not exist.
    name
        Template of the file names below `output_dir`, see `stemsplit.jobs.name_template.NameTemplate`.
    format, bits
        As in `stemsplit.audio.encoding.choose_encoding`.
    overwrite
        Replace files that exist.
    extras
        What is written beside the stems: analysis, slices, loops.
    start_s, end_s, duration_s
        An excerpt: where it begins, and where it ends or how long it is, in seconds; exact to the sample.
    track
        Which audio track of a video, counted from 1; None for the one that a player would choose.
    salvage
        Separate what there is of a damaged or truncated song, and note in the result what is missing.
    progress
        Called with the number of samples finished so far, and with that of all samples, None if the file does
        not say.

    Raises
    ------
    SettingsError
        If the template or the excerpt is invalid.
    AudioError, OutputError, ModelError, DeviceError
        If the song cannot be read, separated or written; no file is left under its final name.
    """
    reading = ReadSettings.choose(
        start_s=start_s, end_s=end_s, duration_s=duration_s, track=track, salvage=salvage
    )
    output = OutputSettings(
        Path(output_dir),
        NameTemplate(name),
        format,
        bits,
        overwrite=overwrite,
        extras=extras or ExtraSettings(),
    )
    output.check_reading(reading)
    provenance = Provenance.of(separator, output, reading)
    (job,) = plan_jobs([SongInput(str(path), Path(path))], provenance, output, None)
    if job.result is not None:
        raise OutputError(job.result.error)
    return SongWorker(separator, output, reading, listener=_Counter(progress)).write_files(job)


def analyse_file(
    separator: Separator,
    path: Path | str,
    *,
    start_s: float = 0.0,
    end_s: float | None = None,
    duration_s: float | None = None,
    track: int | None = None,
    salvage: bool = False,
    progress: Progress | None = None,
) -> "SongAnalysis":
    """Find the tempo, beats, key, chords and loudness of a song, in bounded memory; nothing is written.

    Parameters
    ----------
    separator
        Of whose stems the drums tell the beat, bass and other the harmony; the mixture does where it has none
        of them.
    path
        The song.
    start_s, end_s, duration_s, track, salvage, progress
        As of `separate_file`.

    Raises
    ------
    SettingsError
        If the excerpt is invalid.
    AudioError, ModelError, DeviceError
        If the song cannot be read or separated.
    """
    reading = ReadSettings.choose(
        start_s=start_s, end_s=end_s, duration_s=duration_s, track=track, salvage=salvage
    )
    output = OutputSettings(Path(), extras=ExtraSettings(analyse=True))
    worker = SongWorker(separator, output, reading, listener=_Counter(progress))
    result = worker.write_files(Job(SongInput(str(path), Path(path)), {}))
    assert result.analysis is not None
    return result.analysis


def replace_drums(
    path: Path | str,
    output_dir: Path | str,
    *,
    kit: Path | str | None = None,
    blend: float = 1.0,
    mixture: bool = False,
    format: str = "wav",
    bits: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **settings: Unpack[SeparatorKeywords],
) -> FileResult:
    """Play the drums of a song anew with the samples of a kit, in bounded memory.

    Writes the drums stem, ``drums_replaced`` with the length, rate and channels of the song, and its MIDI.

    Parameters
    ----------
    path
        The song.
    output_dir
        The folder of the files; created if it does not exist.
    kit
        A folder of samples named after drums, or an SFZ file, see `stemsplit.music.drum_kit.read_kit`; None
        for the kit of the package.
    blend
        Share of the new drums, from 0 to 1; the rest is that of the drums stem.
    mixture
        Write the song with the new drums as well, and the song without drums.
    format, bits, overwrite, progress
        As of `separate_file`; the format is wav, flac or aiff.
    settings
        As of `stemsplit.Separator`, but for the stems.

    Returns
    -------
    FileResult
        ``extras`` has the files, ``note`` the number of hits; a song without drums has neither file.

    Raises
    ------
    SettingsError
        If the kit cannot be used, or a setting is out of its range.
    AudioError, OutputError, ModelError, DeviceError
        As `separate_file`.
    """
    replacement = ReplacementSettings(None if kit is None else str(kit), blend, mixture)
    settings |= {"karaoke": "drums"} if mixture else {"stems": ("drums",)}
    with Separator(**settings) as separator:
        return separate_file(
            separator,
            path,
            output_dir,
            format=format,
            bits=bits,
            overwrite=overwrite,
            extras=ExtraSettings(replacement=replacement),
            progress=progress,
        )


@dataclass
class _Counter:
    """Converts the progress of one song into a running total."""

    progress: Progress | None
    n_samples: int = 0
    n_total: int | None = None

    def start(self, job: Job, info: AudioInfo) -> None:  # noqa: ARG002 - of ProgressListener
        """Note the length of the song."""
        self.n_total = info.n_samples

    def advance(self, job: Job, n_samples: int) -> None:  # noqa: ARG002 - of ProgressListener
        """Add `n_samples` and report the total."""
        self.n_samples += n_samples
        if self.progress is not None:
            self.progress(self.n_samples, self.n_total)

    def finish(self, job: Job, result: FileResult) -> None:
        """Do nothing."""
