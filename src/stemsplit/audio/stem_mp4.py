"""Native Instruments' stem files: the mixture and four stems of a song in one mp4, for DJ programs.

While a song is being separated its stems wait in a nameless file, see `spill`; `StemMp4.complete` encodes
all five tracks side by side. The mixture is the sum of the stems. With AAC every track has the error of the
codec; with ALAC the stems sum to the mixture to the last bit: what rounding leaves over, at most 2 steps, is
in the stem `other`.
"""

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

import numpy as np
import soxr

from stemsplit.audio.bit_rates import describe_rates, limit_bitrate
from stemsplit.audio.encoding import Encoding, written_rate
from stemsplit.audio.file_sink import FileSink
from stemsplit.audio.pcm import PcmArray, gain_to_fit, quantise
from stemsplit.audio.spill import open_spill, read_spill, write_spill
from stemsplit.audio.stem_box import append_stem_box, make_stem_box
from stemsplit.audio.tags import Tags, write_tags
from stemsplit.audio.write_report import WriteReport
from stemsplit.errors import OutputError
from stemsplit.files.atomic import explaining
from stemsplit.files.pending import PendingFile, place_all
from stemsplit.types import FloatArray

# under which results and journals list the file
ALL_STEMS: Final = "stems"
# as Native Instruments and MUSDB18 order them
_ORDER: Final = ("drums", "bass", "other", "vocals")
_MIXTURE: Final = "Mixture"
_KBITS: Final = 256


class StemMp4:
    """The stems of one song on their way to one file; a context manager, used as a `StemSet` is.

    Parameters
    ----------
    path : Path
        The destination.
    sample_rate : int
        In Hz.
    n_channels : int
        1 or 2.
    encoding : Encoding
        Of the format "stem.mp4".
    tags : Tags or None
        Of the song.
    overwrite : bool
        Replace a file that exists.

    Raises
    ------
    OutputError
        On entering: the destination exists, or cannot be made. Later: the disk is full, read-only, gone;
        nothing is left behind then.
    """

    def __init__(
        self,
        path: Path,
        *,
        sample_rate: int,
        n_channels: int,
        encoding: Encoding,
        tags: Tags | None = None,
        overwrite: bool = False,
    ) -> None:
        self._file = PendingFile(path, overwrite=overwrite)
        self._spill: BinaryIO | None = None
        self._encoding = encoding
        self._sample_rate = sample_rate
        self._n_channels = n_channels
        self._tags = tags or Tags()
        self._names: tuple[str, ...] = ()
        self._n_samples = 0
        # of all tracks; and of the stem that takes what rounding leaves over
        self._range = _Range()
        self._rest_range = _Range()

    def __enter__(self) -> Self:
        try:
            self._file.prepare()
            with explaining(self._file.path):
                self._spill = open_spill(self._file.path.parent)
        except BaseException:
            self._discard()
            raise
        return self

    def write(self, blocks: Mapping[str, FloatArray]) -> None:
        """Append one block to every stem.

        Parameters
        ----------
        blocks : mapping of str to array of float32, shape (channels, samples)
            The four stems, which sum to the mixture.
        """
        assert self._spill is not None
        self._names = self._names or order_stems(blocks)
        stems = [blocks[name] for name in self._names]
        n_samples = stems[0].shape[1]
        if not n_samples:
            return
        for block in (*stems, sum_exactly(stems)):
            self._range.add(block)
        self._rest_range.add(stems[find_rest(self._names)])
        with explaining(self._file.path):
            write_spill(self._spill, np.ascontiguousarray(np.concatenate(stems).T))
        self._n_samples += n_samples

    @property
    def parts(self) -> dict[str, Path]:
        """The temporary file."""
        return {ALL_STEMS: self._file.part}

    @property
    def pending(self) -> list[PendingFile]:
        """The file, which `complete` makes ready to be placed."""
        return [self._file]

    def rename(self, paths: Mapping[str, Path], *, replaceable: Collection[Path] = ()) -> None:
        """Change the destination, see `StemSet.rename`."""
        path = paths[ALL_STEMS]
        self._file.rename(path, overwrite=path in replaceable)

    def add_tags(self, tags: Tags) -> None:
        """Add tags of the song; those that are known already stay."""
        self._tags = self._tags | tags

    def complete(self) -> WriteReport:
        """Encode all tracks, and force the file to disk."""
        if not self._n_samples:
            raise OutputError("no samples were written, so there is nothing to keep")
        gain = self._find_gain()
        with explaining(self._file.path):
            self._encode(gain)
            notes = list(describe_rates(self._encoding, self._sample_rate, self._n_channels))
            if note := self._tag():
                # whatever the failure left of the file, the audio is still in the spill
                self._encode(gain)
                notes.append(note)
            with self._file.part.open("rb+") as file:
                os.fsync(file.fileno())
        return WriteReport(gain, 0, self._range.peak, self._n_samples, tuple(notes))

    def place(self) -> None:
        """Give the file its name."""
        place_all([self._file])

    def _find_gain(self) -> float:
        gain = gain_to_fit(self._encoding, self._range.lowest, self._range.highest)
        if self._encoding.bits is None:
            return gain
        slack = (len(self._names) + 1) / 2**self._encoding.bits
        rest = self._rest_range
        return min(gain, gain_to_fit(self._encoding, rest.lowest - slack, rest.highest + slack))

    def _encode(self, gain: float) -> None:
        with self._file.open() as file:
            tracks = _Tracks(
                FileSink(file),
                self._encoding,
                [_MIXTURE, *map(_title, self._names)],
                sample_rate=written_rate(self._encoding, self._sample_rate),
                n_channels=self._n_channels,
            )
            try:
                for stems in self._read():
                    tracks.write(make_tracks(stems, self._encoding, gain, rest=find_rest(self._names)))
                tracks.finish()
            finally:
                tracks.abort()
            append_stem_box(file, make_stem_box([_title(name) for name in self._names]))

    def _read(self) -> Iterator[list[FloatArray]]:
        """Yield blocks of the stems, ``(samples, channels)``, at the rate of the file."""
        assert self._spill is not None
        n_columns = len(self._names) * self._n_channels
        blocks: Iterable[FloatArray] = read_spill(self._spill, self._n_samples, n_columns)
        written_hz = written_rate(self._encoding, self._sample_rate)
        if written_hz != self._sample_rate:
            blocks = _resample(blocks, self._sample_rate, written_hz, n_columns)
        for block in blocks:
            yield [np.ascontiguousarray(stem) for stem in np.split(block, len(self._names), axis=1)]

    def _tag(self) -> str | None:
        """Tag the finished temporary file; return why not, if it did not work."""
        try:
            write_tags(self._file.part, self._tags, None, format=self._encoding.format)
        except OutputError as error:
            return f"{self._file.path}: written without tags ({error.__cause__})"
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._discard()

    def _discard(self) -> None:
        if self._spill is not None:
            with contextlib.suppress(OSError):
                self._spill.close()
        self._file.discard()


class _Range:
    """The lowest and the highest sample so far, and 0."""

    def __init__(self) -> None:
        self.lowest = self.highest = 0.0

    def add(self, block: FloatArray) -> None:
        self.lowest = min(self.lowest, float(block.min()))
        self.highest = max(self.highest, float(block.max()))

    @property
    def peak(self) -> float:
        return max(self.highest, -self.lowest)


class _Tracks:
    """The tracks of the file, encoded side by side; the first is the mixture, which players play."""

    def __init__(
        self, sink: FileSink, encoding: Encoding, titles: Sequence[str], *, sample_rate: int, n_channels: int
    ) -> None:
        from av.stream import Disposition

        from stemsplit.audio.av_encoder import FAILURES, AvTrack, open_output

        self._sink = sink
        self._raising = partial(sink.raising, *FAILURES)
        kbits = limit_bitrate(encoding, sample_rate, n_channels) or _KBITS * n_channels // 2
        with self._raising():
            self._container: Any = open_output(sink, "mp4", sample_rate=sample_rate)
            self._tracks = [
                AvTrack(
                    self._container,
                    "alac" if encoding.bits else "aac",
                    sample_rate=sample_rate,
                    n_channels=n_channels,
                    bits=encoding.bits,
                    bit_rate=None if encoding.bits else 1000 * kbits,
                )
                for _ in titles
            ]
        for index, (track, title) in enumerate(zip(self._tracks, titles, strict=True)):
            track.stream.metadata.update(title=title, handler_name=title)
            # tracks without it are marked as not enabled
            track.stream.disposition = Disposition(0) if index else Disposition.default

    def write(self, tracks: Sequence[FloatArray | PcmArray]) -> None:
        with self._raising():
            for track, samples in zip(self._tracks, tracks, strict=True):
                track.write(samples)

    def finish(self) -> None:
        with self._raising():
            for track in self._tracks:
                track.flush()
            self._container.close()

    def abort(self) -> None:
        import av.error

        self._sink.detach()
        with contextlib.suppress(av.error.FFmpegError, OSError):
            self._container.close()


def order_stems(names: Iterable[str]) -> tuple[str, ...]:
    """Return names in the order of the tracks: drums, bass, other, vocals, and any others behind.

    >>> order_stems(["vocals", "drums", "bass", "residual"])
    ('drums', 'bass', 'vocals', 'residual')
    """
    given = tuple(names)
    return (*(name for name in _ORDER if name in given), *(name for name in given if name not in _ORDER))


def find_rest(names: Sequence[str]) -> int:
    """Return the place of the stem that takes what rounding leaves over: `other`, else the last."""
    return names.index("other") if "other" in names else len(names) - 1


def sum_exactly(stems: Sequence[FloatArray]) -> FloatArray:
    """Return the sum of stems, rounded once."""
    total: FloatArray = np.asarray(np.sum(stems, axis=0, dtype=np.float64), np.float32)
    return total


def make_tracks(
    stems: Sequence[FloatArray], encoding: Encoding, gain: float, *, rest: int
) -> list[FloatArray | PcmArray]:
    """Return a block of the mixture and of every stem as they are encoded.

    Parameters
    ----------
    stems : sequence of float32 arrays
        Of one shape.
    encoding : Encoding
    gain : float
        On all of them.
    rest : int
        The place of the stem that becomes, of integers, the mixture minus all others.
    """
    mixture = sum_exactly(stems)
    if encoding.bits is None:
        return [track * np.float32(gain) for track in (mixture, *stems)]
    bits = encoding.bits
    values = [quantise(track, bits, gain=gain)[0].astype(np.int32) for track in (mixture, *stems)]
    total, *parts = values
    parts[rest] = total - sum(part for place, part in enumerate(parts) if place != rest)
    if bits == 16:
        return [track.astype(np.int16) for track in (total, *parts)]
    return [total, *parts]


def _resample(blocks: Iterable[FloatArray], from_hz: int, to_hz: int, n_columns: int) -> Iterator[FloatArray]:
    stream = soxr.ResampleStream(from_hz, to_hz, n_columns, dtype="float32", quality="VHQ")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.empty((0, n_columns), np.float32), last=True)


def _title(name: str) -> str:
    """Return the name of a stem as it is shown.

    >>> _title("drums"), _title("no_vocals")
    ('Drums', 'No vocals')
    """
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]
