"""The tracks of a stem file, read side by side in bounded memory."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np

from stemsplit.audio.av_source import open_container
from stemsplit.audio.info import AudioInfo
from stemsplit.audio.read_settings import ReadSettings
from stemsplit.audio.reader import AudioReader, open_audio
from stemsplit.audio.stem_box import read_stem_names
from stemsplit.errors import AudioError
from stemsplit.types import FloatArray

MIXTURE: Final = "mixture"
# the names by which stemsplit calls stems that the file calls Drums, Bass ...
_OURS: Final = frozenset({"drums", "bass", "other", "vocals", MIXTURE})


class StemTracks:
    """The mixture and the stems of a stem file; a context manager.

    Parameters
    ----------
    path : Path
    settings : ReadSettings
        Which part is read, and whether damage is salvaged; the track is not used.

    Attributes
    ----------
    info : AudioInfo
        Of all tracks.
    names : tuple of str
        Of the tracks, each once: the first is the mixture, the others are called as the file calls them.

    Raises
    ------
    AudioError
        The file is missing, damaged, no stem file, or its tracks differ in rate or channels.
    """

    def __init__(self, path: Path, settings: ReadSettings) -> None:
        with ExitStack() as opened:
            first = opened.enter_context(open_audio(path, settings=replace(settings, track=1)))
            self.names = _name_tracks(path)
            self._readers = [first]
            for track in range(2, len(self.names) + 1):
                reader = open_audio(path, settings=replace(settings, track=track))
                self._readers.append(opened.enter_context(reader))
            self.info = first.info
            for track, reader in enumerate(self._readers, 1):
                _check_alike(path, track, self.info, reader.info)
            self._opened = opened.pop_all()

    def blocks(self) -> Iterator[dict[str, FloatArray]]:
        """Yield blocks ``(channels, samples)`` of all tracks; silence completes those that end earlier.

        Raises
        ------
        AudioError
            A track is damaged.
        """
        queues = [_Queue(reader, self.info.n_channels) for reader in self._readers]
        while n_samples := max(queue.fill() for queue in queues):
            shortest = min((queue.n_samples for queue in queues if not queue.is_at_end), default=n_samples)
            yield {name: queue.take(shortest) for name, queue in zip(self.names, queues, strict=True)}

    @property
    def notes(self) -> tuple[str, ...]:
        """What was mended so far, each once."""
        return tuple(dict.fromkeys(note for reader in self._readers for note in reader.notes))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()


class _Queue:
    """The samples of one track that are read and not yet taken."""

    def __init__(self, reader: AudioReader, n_channels: int) -> None:
        self._blocks = reader.blocks()
        self._block = np.empty((n_channels, 0), np.float32)
        self.is_at_end = False

    @property
    def n_samples(self) -> int:
        return self._block.shape[1]

    def fill(self) -> int:
        """Read the next block if all is taken; return how many samples there are."""
        if not self.n_samples and not self.is_at_end:
            block = next(self._blocks, None)
            if block is None:
                self.is_at_end = True
            else:
                self._block = block
        return self.n_samples

    def take(self, n_samples: int) -> FloatArray:
        """Return so many samples, with silence behind the end."""
        taken, self._block = self._block[:, :n_samples], self._block[:, n_samples:]
        missing = n_samples - taken.shape[1]
        return np.pad(taken, ((0, 0), (0, missing))) if missing else taken


def _name_tracks(path: Path) -> tuple[str, ...]:
    """Name the tracks after the box of the stems, or else after their titles."""
    with open_container(path) as container:
        titles = [_find_title(stream.metadata) for stream in container.streams.audio]
    if len(titles) < 2:
        raise AudioError(f"{path}: has one audio track, and so no stems; separate it without `unpack`")
    try:
        boxed = read_stem_names(path)
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror}); check the disk") from error
    if boxed and len(boxed) != len(titles) - 1:
        raise AudioError(
            f"{path}: names {len(boxed)} stems and has {len(titles) - 1} tracks behind the mixture; "
            "get another copy"
        )
    given = [MIXTURE, *(boxed or titles[1:])]
    names: list[str] = []
    for number, title in enumerate(given, 1):
        name = title.lower() if title.lower() in _OURS else title.strip() or f"track {number}"
        names.append(f"{name} {number}" if name in names else name)
    return tuple(names)


def _find_title(metadata: Mapping[str, str]) -> str:
    """Return the title of a track; what programs write that give it none is no title."""
    title = metadata.get("title") or metadata.get("handler_name", "")
    return "" if title.endswith(("Handler", "handler")) or "GPAC" in title else title


def _check_alike(path: Path, track: int, info: AudioInfo, other: AudioInfo) -> None:
    if (info.sample_rate, info.n_channels) != (other.sample_rate, other.n_channels):
        raise AudioError(
            f"{path}: track 1 has {info.n_channels} channels at {info.sample_rate} Hz and track {track} has "
            f"{other.n_channels} at {other.sample_rate} Hz, so it is no stem file; "
            f"read one track with --track {track}"
        )
