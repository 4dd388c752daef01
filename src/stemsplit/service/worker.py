"""The thread that separates the songs of the queue, one after the other, and the separators that it keeps."""

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from stemsplit.audio.info import AudioInfo
from stemsplit.audio.read_settings import ReadSettings
from stemsplit.jobs.cancellation import Cancelled
from stemsplit.jobs.failure import wrap_bug
from stemsplit.jobs.inputs import SongInput
from stemsplit.jobs.plan import Job, failed_result, plan_jobs
from stemsplit.jobs.provenance import Provenance
from stemsplit.jobs.request import SeparationRequest, make_output_settings, open_separator
from stemsplit.jobs.result import FileResult, Status
from stemsplit.jobs.worker import SongWorker
from stemsplit.separation.base_separator import BaseSeparator
from stemsplit.service.analysis import analyse_tracks
from stemsplit.service.playback import make_preview
from stemsplit.service.queue import SongQueue
from stemsplit.service.song import QueuedSong
from stemsplit.service.tracks import make_tracks

_MAX_OPEN = 3
_log = logging.getLogger(__name__)


class Separators:
    """Separators that are kept open for the settings that were used last; for one thread."""

    def __init__(self, max_open: int = _MAX_OPEN) -> None:
        self._max_open = max_open
        self._open: OrderedDict[object, BaseSeparator] = OrderedDict()

    def open(self, request: SeparationRequest) -> BaseSeparator:
        """Return the separator for `request`; the least recently used is closed."""
        key = repr(replace(request, output_dir="", format="", bits=None, reading=ReadSettings()))
        if key not in self._open:
            self._open[key] = open_separator(request)
        self._open.move_to_end(key)
        while len(self._open) > self._max_open:
            _, last = self._open.popitem(last=False)
            last.close()
        return self._open[key]

    def close(self) -> None:
        """Close all."""
        while self._open:
            self._open.popitem()[1].close()


class Worker:
    """A thread that separates what is in the queue; a context manager that ends it.

    A song that fails, for whatever reason, is a failed song and no more.
    """

    def __init__(self, queue: SongQueue, separators: Separators) -> None:
        self._queue = queue
        self._separators = separators
        self._thread = threading.Thread(target=self._run, name="worker")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.close()
        self._thread.join()
        self._separators.close()

    def _run(self) -> None:
        while (song := self._queue.take()) is not None:
            try:
                result = self._separate(song)
            except Cancelled:
                song.discard()
            else:
                if result.status is Status.DONE:
                    _prepare_playback(song, result)
                self._queue.finish(song, _hide_paths(result, song))

    def _separate(self, song: QueuedSong) -> FileResult:
        source = SongInput(song.request.name, song.source)
        try:
            separator = self._separators.open(song.separation)
            output = make_output_settings(song.separation)
            made = Provenance.of(separator, output, song.separation.reading)
            (job,) = plan_jobs([source], made, output, None)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next song is separated
            return failed_result(source, wrap_bug(error))
        worker = SongWorker(
            separator,
            output,
            song.separation.reading,
            listener=_Progress(song),
            cancellation=song.cancellation,
        )
        return worker.run(job, step=worker.write_files)


def _prepare_playback(song: QueuedSong, result: FileResult) -> None:
    """Make what the mixer of the page needs; without it the stems can still be downloaded."""
    assert result.gain is not None
    try:
        tracks = make_tracks(result.outputs, song.tracks)
        song.preview = make_preview(
            song.source, tracks, song.original, gain=result.gain, reading=song.separation.reading
        )
        if song.request.analyse:
            song.analysis = analyse_tracks(song.original, tracks).to_dict()
    except Exception as error:  # noqa: BLE001 - the stems are finished, and are not to be lost
        _log.error("%s cannot be played: %s", song.request.name, wrap_bug(error))


@dataclass(frozen=True)
class _Progress:
    """Keeps account of a song while it is being separated."""

    song: QueuedSong

    def start(self, job: Job, info: AudioInfo) -> None:  # noqa: ARG002 - the signature is given
        """Note how long it is."""
        self.song.n_samples = info.n_samples

    def advance(self, job: Job, n_samples: int) -> None:  # noqa: ARG002 - the signature is given
        """Count on."""
        self.song.n_finished += n_samples

    def finish(self, job: Job, result: FileResult) -> None:
        """Nothing left to count."""


def _hide_paths(result: FileResult, song: QueuedSong) -> FileResult:
    """Return `result` without folders of this computer."""
    error = None if result.error is None else song.hide_paths(result.error)
    note = None if result.note is None else song.hide_paths(result.note)
    return replace(result, error=error, note=note)
