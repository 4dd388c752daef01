"""The thread that separates the songs of the shelf, one after the other, and the separators that it keeps."""

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from stemsplit.audio import AudioInfo
from stemsplit.cancel import Cancelled
from stemsplit.command import make_delivery, open_separator
from stemsplit.flags import Flags
from stemsplit.inputs import Source
from stemsplit.plan import Job, Provenance, fail, plan_jobs
from stemsplit.result import FileResult
from stemsplit.separator import Separator
from stemsplit.service.shelf import Shelf, Song
from stemsplit.song import SongWorker, blame

_MAX_OPEN = 3


class Separators:
    """Separators that are kept open for the settings that were used last; for one thread."""

    def __init__(self, max_open: int = _MAX_OPEN) -> None:
        self._max_open = max_open
        self._open: OrderedDict[object, Separator] = OrderedDict()

    def open(self, flags: Flags) -> Separator:
        """Return the separator for `flags`; the one that was not used for longest is closed for a new one."""
        key = (flags.stem_names, flags.residual, flags.karaoke)
        if key not in self._open:
            self._open[key] = open_separator(flags)
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
    """A thread that separates what is on the shelf; a context manager that ends it.

    A song that fails, for whatever reason, is a failed song and no more.
    """

    def __init__(self, shelf: Shelf, separators: Separators) -> None:
        self._shelf = shelf
        self._separators = separators
        self._thread = threading.Thread(target=self._run, name="worker")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shelf.close()
        self._thread.join()
        self._separators.close()

    def _run(self) -> None:
        while (song := self._shelf.take()) is not None:
            try:
                result = self._separate(song)
            except Cancelled:
                song.discard()
            else:
                self._shelf.finish(song, _hide_paths(result, song))

    def _separate(self, song: Song) -> FileResult:
        source = Source(song.order.name, song.source)
        try:
            separator = self._separators.open(song.flags)
            delivery = make_delivery(song.flags)
            (job,) = plan_jobs([source], Provenance.of(separator, delivery), delivery, None)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next song is separated
            return fail(source, blame(error))
        worker = SongWorker(separator, delivery, None, _Progress(song), song.cancellation)
        return worker.attempt(job, step=worker.write_files)


@dataclass(frozen=True)
class _Progress:
    """Keeps account of a song while it is being separated."""

    song: Song

    def start(self, job: Job, info: AudioInfo) -> None:  # noqa: ARG002 - the signature is given
        """Note how long it is."""
        self.song.n_samples = info.n_samples

    def advance(self, job: Job, n_samples: int) -> None:  # noqa: ARG002 - the signature is given
        """Count on."""
        self.song.n_finished += n_samples

    def finish(self, job: Job, result: FileResult) -> None:
        """Nothing left to count."""


def _hide_paths(result: FileResult, song: Song) -> FileResult:
    """Return `result` in words that name the song as its owner does, and no folder of this computer."""

    def hide(text: str | None) -> str | None:
        if text is None:
            return None
        named = text.replace(str(song.source), song.order.name)
        return named.replace(song.flags.output + os.sep, "").replace(str(song.folder), "the song's folder")

    return replace(result, error=hide(result.error), note=hide(result.note))
