"""Reading audio in bounded blocks, and noticing when it is not whole.

Blocks are float32 ``(channels, samples)``; PCM is scaled to [-1, 1). What libsndfile and, where it is
installed, PyAV let pass in silence is an `AudioError` here: a file that is shorter than its header says, a
decoder that lost its way, samples that are not numbers, no samples at all.
"""

import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

import numpy as np

from stemsplit.audio.extensions import AV_EXTENSIONS, has_pyav, is_av_container
from stemsplit.audio.info import Decoder
from stemsplit.errors import AudioError
from stemsplit.types import FloatArray

BLOCK_SAMPLES: Final = 65536
_BLOCK_VALUES: Final = 2**22

# Beyond this a float sample is damage, not sound, and its square would overflow further down.
_LOUDEST: Final = 1e12


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

    def __init__(self, decoder: Decoder, name: str, *, block_samples: int = BLOCK_SAMPLES) -> None:
        assert block_samples > 0
        self._decoder = decoder
        self._name = name
        self.info = decoder.info
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
            At the end: there was no sample at all, or fewer than the container declares.
        """
        while True:
            block = self._decoder.read(self._block_samples)
            if not block.shape[1]:
                break
            self._check_values(block)
            self.n_read += block.shape[1]
            yield block
        self._check_length()

    def _check_values(self, block: FloatArray) -> None:
        # NaN fails too: every comparison with it is false.
        if block.min() >= -_LOUDEST and block.max() <= _LOUDEST:
            return
        channel, sample = np.argwhere(~(np.abs(block) <= _LOUDEST).T)[0][::-1]
        value = block[channel, sample]
        raise AudioError(
            f"{self._name}: the sample at {self._seconds(self.n_read + int(sample))} s "
            f"(channel {channel + 1}) is {value}, not audio; repair the file or export it again"
        )

    def _check_length(self) -> None:
        declared = self.info.n_samples
        if not self.n_read:
            raise AudioError(f"{self._name}: holds no samples; export the song again")
        if declared is not None and self.n_read < declared - self._decoder.slack_samples:
            raise AudioError(
                f"{self._name}: truncated or damaged: {self._seconds(self.n_read)} s could be read of the "
                f"{self._seconds(declared)} s that its header declares; get a whole copy of the file"
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


def open_audio(source: Path | BinaryIO, *, block_samples: int = BLOCK_SAMPLES) -> AudioReader:
    """Open a song for reading.

    Parameters
    ----------
    source : Path or binary stream
        A file; or a stream, which need not be seekable and must hold WAV.
    block_samples : int
        Samples a channel in a block; 65,536 is 1.5 s at 44,100 Hz.

    Returns
    -------
    AudioReader

    Raises
    ------
    AudioError
        The file is missing, unreadable, empty, not audio, shorter than its header says, or needs PyAV.
    """
    if not isinstance(source, Path):
        from stemsplit.audio.wav_pipe import WavStreamDecoder

        return AudioReader(WavStreamDecoder(source), "stdin", block_samples=block_samples)
    head = _read_head(source)
    decoder = _open_decoder(source, head)
    if decoder.info.n_samples == 0:
        decoder.close()
        raise AudioError(
            f"{source}: holds no samples by its header; export the song again "
            "(the wav of an interrupted recording can be read as `stemsplit - < FILE`)"
        )
    return AudioReader(decoder, str(source), block_samples=block_samples)


def _read_head(path: Path) -> bytes:
    """Return the first bytes of a regular, readable, non-empty file."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            kind = "a folder" if path.is_dir() else "not a regular file"
            raise AudioError(f"{path}: is {kind}; name an audio file, or pipe wav into `stemsplit -`")
        with path.open("rb") as file:
            head = file.read(64)
    except FileNotFoundError:
        raise AudioError(f"{path}: no such file; check the name") from None
    except PermissionError:
        raise AudioError(f"{path}: may not be read; change its permissions") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AudioError(f"{path}: cannot be read ({reason}); check the disk and the name") from error
    if not head:
        raise AudioError(f"{path}: is empty (0 bytes); get a whole copy of the file")
    return head


def _open_decoder(path: Path, head: bytes) -> Decoder:
    wants_av = path.suffix[1:].lower() in AV_EXTENSIONS or is_av_container(head)
    if wants_av and has_pyav():
        from stemsplit.audio.pyav import AvDecoder

        return AvDecoder(path)
    from stemsplit.audio.sndfile import SndfileDecoder

    try:
        return SndfileDecoder(path)
    except AudioError as error:
        if wants_av:
            raise AudioError(
                f"{path}: this format needs PyAV; run `pip install '.[formats]'` in your clone of stemsplit"
            ) from error
        raise
