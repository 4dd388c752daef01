"""Reading audio in bounded blocks, and noticing when it is not whole.

Blocks are float32 ``(channels, samples)``; PCM is scaled to [-1, 1). What libsndfile and FFmpeg let pass in
silence is an `AudioError` here: a file that is shorter than its header says, a decoder that lost its way,
samples that are not numbers, no samples at all. Lies of a header that cost no sound are noted.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

import numpy as np

from stemsplit.audio.choice import open_decoder
from stemsplit.audio.condition import Condition
from stemsplit.audio.info import Decoder
from stemsplit.audio.read_settings import ReadSettings
from stemsplit.errors import AudioError
from stemsplit.types import LOUDEST, FloatArray

BLOCK_SAMPLES: Final = 65536
_BLOCK_VALUES: Final = 2**22
_ALL: Final = ReadSettings()


class AudioReader:
    """Reads one song from start to end; a context manager.

    Attributes
    ----------
    info : AudioInfo
    n_read : int
        Samples a channel handed out so far.

    Examples
    --------
    >>> from pathlib import Path
    >>> with open_audio(Path("song.flac")) as reader:  # doctest: +SKIP
    ...     for block in reader.blocks():
    ...         print(block.shape)
    """

    def __init__(
        self,
        decoder: Decoder,
        condition: Condition,
        *,
        block_samples: int = BLOCK_SAMPLES,
        settings: ReadSettings = _ALL,
    ) -> None:
        assert block_samples > 0
        self._decoder = decoder
        self._condition = condition
        self._name = condition.name
        self._declared = decoder.info.n_samples
        rate = decoder.info.sample_rate
        self._start = round(settings.start_s * rate)
        self._end = None if settings.end_s is None else round(settings.end_s * rate)
        self._position = 0
        self.info = replace(decoder.info, n_samples=self._count())
        # A header, damaged or not, may claim a thousand channels.
        self._block_samples = min(block_samples, max(1, _BLOCK_VALUES // self.info.n_channels))
        self.n_read = 0

    def blocks(self) -> Iterator[FloatArray]:
        """Yield the samples from where the last block ended.

        Yields
        ------
        array of float32, shape (channels, samples)
            At most about ``block_samples`` samples. Joined, they are the same for every block size.

        Raises
        ------
        AudioError
            Before the samples that are damaged: the decoder failed, a sample is NaN, infinite or absurd.
            At the end: there was no sample at all, or fewer than the container declares. At once: the
            excerpt holds no sample.
        """
        self._check_excerpt_holds()
        while self._end is None or self._position < self._end:
            block = self._read()
            if block is None:
                self._check_length()
                break
            self._check_values(block)
            first = max(0, self._start - self._position)
            last = None if self._end is None else self._end - self._position
            self._position += block.shape[1]
            block = block[:, first:last]
            self.n_read += block.shape[1]
            if block.shape[1]:
                yield np.ascontiguousarray(block)
        self._check_excerpt_begins()

    def _count(self) -> int | None:
        """Return the samples of the excerpt, None if the length of the song is not known."""
        if self._declared is None:
            return None
        end = self._declared if self._end is None else min(self._end, self._declared)
        return max(0, end - self._start)

    def _check_excerpt_holds(self) -> None:
        if self._end is not None and self._end <= self._start:
            start = self._seconds(self._start)
            raise AudioError(f"{self._name}: the excerpt at {start} s holds no sample; let it end later")

    def _check_excerpt_begins(self) -> None:
        if self._position and not self.n_read:
            raise AudioError(
                f"{self._name}: the excerpt begins at {self._seconds(self._start)} s, "
                f"and the song ends at {self._seconds(self._position)} s"
            )

    @property
    def notes(self) -> tuple[str, ...]:
        """What was mended so far or, in a file that is salvaged, is missing."""
        return tuple(self._condition.notes)

    def _read(self) -> FloatArray | None:
        """Return the next block, None at the end; what is salvaged ends where no more can be read."""
        try:
            block = self._decoder.read(self._block_samples)
        except AudioError as error:
            if not self._condition.salvage or not self._position:
                raise
            self._condition.note(f"salvaged: {error}")
            return None
        return block if block.shape[1] else None

    def _check_values(self, block: FloatArray) -> None:
        # NaN fails too: every comparison with it is false.
        if block.min() >= -LOUDEST and block.max() <= LOUDEST:
            return
        channel, sample = np.argwhere(~(np.abs(block) <= LOUDEST).T)[0][::-1]
        value = block[channel, sample]
        raise AudioError(
            f"{self._name}: the sample at {self._seconds(self._position + int(sample))} s "
            f"(channel {channel + 1}) is {value}, not audio; repair the file or export it again"
        )

    def _check_length(self) -> None:
        declared = self._declared
        if not self._position:
            raise AudioError(f"{self._name}: holds no samples; export the song again")
        if declared is not None and self._position < declared:
            self._condition.damaged(
                f"truncated or damaged: {self._seconds(self._position)} s could be read of the "
                f"{self._seconds(declared)} s that its header declares"
            )

    def _seconds(self, n_samples: int) -> str:
        return f"{n_samples / self.info.sample_rate:.3f}"

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._decoder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_audio(
    source: Path | BinaryIO,
    *,
    block_samples: int = BLOCK_SAMPLES,
    settings: ReadSettings = _ALL,
    name: str = "stdin",
) -> AudioReader:
    """Open a song for reading.

    Parameters
    ----------
    source : Path or binary stream
        A file; or a stream, which need not be seekable and must hold WAV.
    block_samples : int
        Samples a channel in a block; 65,536 is 1.5 s at 44,100 Hz.
    settings : ReadSettings
        Which part of it is read, and what happens to damage; by default all, and an error.
    name : str
        What the errors call a stream.

    Returns
    -------
    AudioReader

    Raises
    ------
    AudioError
        The file is missing, unreadable, empty, not audio, damaged or shorter than its header says.
    """
    if not isinstance(source, Path):
        from stemsplit.audio.wav_decoder import WavDecoder

        condition = Condition(name, salvage=settings.salvage)
        decoder: Decoder = WavDecoder.from_stream(source, condition)
    else:
        condition = Condition(source, salvage=settings.salvage)
        decoder = open_decoder(source, condition, track=settings.track)
    return AudioReader(decoder, condition, block_samples=block_samples, settings=settings)
