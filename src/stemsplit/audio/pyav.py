"""Decoding with PyAV (FFmpeg): m4a, alac, wma, video containers; optional, the extra ``formats``.

Length. Encoders put priming before the first sample and padding behind the last. FFmpeg drops the priming
that a container declares, and the padding where Matroska or Ogg declare it. For mp4/m4a the end is taken from
iTunes' own note, else from the packets' lengths, cut at the edit list's end. Raw AAC (.aac) declares neither,
nor does AAC in Matroska its padding: such songs come with what the encoder added.
"""

import contextlib
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import av.error
import numpy as np

from stemsplit.audio.info import AudioInfo
from stemsplit.errors import AudioError
from stemsplit.types import FloatArray

_LOSSLESS: Final = frozenset({"flac", "wavpack", "tta", "ape", "tak", "mlp", "truehd"})
_EXACT_DURATION: Final = frozenset({"wv", "tta", "ape"})
# Durations elsewhere are rounded, or cover the video too; a shortage beyond this is a cut file.
_SLACK_S: Final = 0.25


class AvDecoder:
    """Decodes one audio stream of a file with FFmpeg.

    Parameters
    ----------
    path : Path
        The file.
    place : int, optional
        Which of its audio streams, counted from 0; by default the one that a player would choose.
    n_streams : int, optional
        How many audio streams it must have.
    """

    slack_samples = 0

    def __init__(self, path: Path, place: int | None = None, n_streams: int | None = None) -> None:
        self._path = path
        with self._decoding():
            self._container = _open(path)
        try:
            with self._decoding():
                self._stream: Any = self._choose(place, n_streams)
                self._frames = self._decode()
                first = next(self._frames, None)
        except BaseException:
            self.close()
            raise
        if first is None:
            self.close()
            raise AudioError(f"{path}: holds no samples; export the song again")
        self._pending: FloatArray | None = first
        self._n_read = 0
        container = self._container.format.name.split(",")[0]
        self._n_samples = self._find_length(container)
        self.info = AudioInfo(
            self._rate,
            first.shape[0],
            self._n_samples,
            container.upper(),
            _subtype(self._stream.codec_context),
        )

    def read(self, n_samples: int) -> FloatArray:
        """Decode the next block.

        Raises
        ------
        AudioError
            FFmpeg met damage, or the stream changes its rate or channels on the way.
        """
        pieces = []
        count = 0
        if self._pending is not None:
            pieces, count, self._pending = [self._pending], self._pending.shape[1], None
        with self._decoding():
            while count < n_samples and (piece := next(self._frames, None)) is not None:
                pieces.append(piece)
                count += piece.shape[1]
        block = np.concatenate(pieces, axis=1) if pieces else np.empty((self.info.n_channels, 0), np.float32)
        if self._n_samples is not None:
            block = block[:, : max(0, self._n_samples - self._n_read)]
        self._n_read += block.shape[1]
        if not block.shape[1]:
            self._check_duration()
        return np.ascontiguousarray(block)

    def close(self) -> None:
        """Release the file."""
        self._container.close()

    def _choose(self, place: int | None, n_streams: int | None) -> Any:
        streams = self._container.streams
        if not streams.audio:
            raise AudioError(f"{self._path}: holds no audio stream; name a file with sound in it")
        if n_streams not in (None, len(streams.audio)):
            raise AudioError(f"{self._path}: has {len(streams.audio)} audio streams, not {n_streams}")
        return streams.best("audio") if place is None else streams.audio[place]

    def _decode(self) -> Iterator[FloatArray]:
        resampler: Any = None
        shape = None
        for frame in self._intact_frames():
            if shape is None:
                shape = (frame.sample_rate, frame.layout.name)
                self._rate: int = frame.sample_rate
            if shape != (frame.sample_rate, frame.layout.name):
                raise self._damage("the audio changes its rate or channels")
            # packed: of eight planes and more PyAV runs past the last, out of the process's memory
            resampler = resampler or av.AudioResampler("flt", frame.layout, frame.sample_rate)
            for converted in resampler.resample(frame):
                yield converted.to_ndarray().reshape(-1, frame.layout.nb_channels).T  # (channels, samples)

    def _intact_frames(self) -> Iterator[Any]:
        for packet in self._container.demux(self._stream):
            if packet.is_corrupt:
                raise self._damage("a packet is corrupt")
            for frame in packet.decode():
                if getattr(frame, "is_corrupt", False):
                    raise self._damage("a frame is corrupt")
                yield frame

    def _damage(self, what: str) -> AudioError:
        return AudioError(
            f"{self._path}: damaged near {self._position()} ({what}); get a whole copy of the file"
        )

    def _position(self) -> str:
        return f"{getattr(self, '_n_read', 0) / getattr(self, '_rate', 44100):.1f} s"

    def _find_length(self, container: str) -> int | None:
        """Return the samples a channel, where the container says so to the sample."""
        duration, time_base = self._stream.duration, self._stream.time_base
        if duration is None or time_base != Fraction(1, self._rate):
            return None
        if container in _EXACT_DURATION:
            return int(duration)
        if container != "mov":
            return None
        with self._decoding():
            end = _end_of_packets(self._path, self._stream.index)
        tick = _edit_list_tick(duration, self._rate)
        if end < duration - tick:
            raise AudioError(
                f"{self._path}: truncated: {end / self._rate:.3f} s are there of the "
                f"{duration / self._rate:.3f} s that its header declares; get a whole copy of the file"
            )
        noted = _itunes_length(self._container.metadata.get("iTunSMPB", ""))
        if noted is not None and 0 < noted <= end:
            return noted
        return end if end - duration <= tick else int(duration)

    def _check_duration(self) -> None:
        if self._n_samples is not None:
            return
        declared_s = _tagged_duration(self._stream.metadata.get("DURATION", ""))
        read_s = self._n_read / self.info.sample_rate
        if read_s < declared_s - _SLACK_S:
            raise AudioError(
                f"{self._path}: truncated: {read_s:.3f} s could be read of the {declared_s:.3f} s that its "
                "header declares; get a whole copy of the file"
            )

    @contextlib.contextmanager
    def _decoding(self) -> Iterator[None]:
        try:
            yield
        except (av.error.FFmpegError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise AudioError(
                f"{self._path}: cannot be read as audio near {self._position()} ({reason}); "
                "the file is damaged or of an unknown kind, get another copy"
            ) from error


def _open(path: Path) -> Any:
    """Open a file, whatever its name: what stands before a colon would be a protocol to FFmpeg."""
    return av.open(f"file:{path}")


def _end_of_packets(path: Path, index: int) -> int:
    """Return where the last packet ends, in samples; reads the packets, decodes nothing."""
    with _open(path) as container:
        packets = container.demux(container.streams[index])
        return max(
            (packet.pts + (packet.duration or 0) for packet in packets if packet.pts is not None), default=0
        )


def _edit_list_tick(duration: int, sample_rate: int) -> int:
    """Return how far an edit list's length may be off.

    It is stored in ticks of the movie, not of the audio: milliseconds in most files, 1/600 s in QuickTime's.
    A length that is no whole number of either is exact.
    """
    for per_second in (1000, 600):
        n_ticks = round(duration * per_second / sample_rate)
        if abs(n_ticks * sample_rate / per_second - duration) <= 1:
            return math.ceil(sample_rate / per_second)
    return 0


def _itunes_length(note: str) -> int | None:
    """Read the sample count out of iTunes' gapless note: unused, priming, padding, length, in hexadecimal."""
    words = note.split()
    try:
        return int(words[3], 16) if len(words) > 3 else None
    except ValueError:
        return None


def _tagged_duration(text: str) -> float:
    """Read Matroska's "00:03:59.123000000" in seconds; 0 if there is none."""
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return 0.0


def _subtype(codec: Any) -> str:
    """Name the sample type as libsndfile does where it has a name for it."""
    name: str = codec.name
    depth = {"u8": 8, "s16": 16, "s32": 24, "flt": 32, "dbl": 64}.get(codec.format.name.rstrip("p"), 0)
    if name == "alac":
        return f"ALAC_{depth}"
    if name.startswith("pcm_s32"):
        return "PCM_32"
    linear = {16: "PCM_16", 24: "PCM_24", 32: "FLOAT", 64: "DOUBLE"}
    if depth in linear and (name.startswith("pcm_") or name in _LOSSLESS):
        return linear[depth]
    return name.removesuffix("float").upper()
