"""One audio stream of a file, or of a part of it, frame by frame as FFmpeg decodes it."""

import contextlib
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import av.error

from stemsplit.audio.condition import Condition
from stemsplit.audio.extensions import STEM_ENDINGS
from stemsplit.audio.file_part import FilePart
from stemsplit.audio.stem_box import has_stem_box
from stemsplit.errors import AudioError

# Checksums of FLAC, AC-3, TTA and others are compared; more strictness would refuse whole files.
_OPTIONS: Final = {"err_detect": "crccheck"}
# FFmpeg's own decoder of Opus errs by as much as -16 dB in the bass; this one is that of the codec's makers.
_LIBOPUS: Final = "libopus"
# Frames of raw FLAC are numbered; other containers may pause between frames.
_NUMBERED: Final = frozenset({"flac"})


class AvSource:
    """Opens a file with FFmpeg and decodes one of its audio streams.

    Parameters
    ----------
    path : Path
        The file.
    condition : Condition
        Where damage goes.
    place : int, optional
        Which of its audio streams, counted from 0; by default the one that a player would choose.
    n_streams : int, optional
        How many audio streams it must have.
    start, end : int, optional
        The part of the file that is to be read, in bytes; by default all of it.

    Attributes
    ----------
    container, stream
        As PyAV has them.
    start_pts, end_pts : int
        Where the first packet begins and the last ends, in the time base of the stream.
    sound_start_s, sound_end_s, sound_s : float
        Where the first frame begins and the last ends in the time of the container, and how long all frames
        of a known time last, in seconds.
    n_packets, n_ticks, n_skipped : int
        Packets that were read, how long they last and how long the pauses between them, in the time base of
        the stream.
    end_position : int
        Where it ends in the file, in bytes; 0 if FFmpeg does not know.
    """

    def __init__(
        self,
        path: Path,
        condition: Condition,
        *,
        place: int | None = None,
        n_streams: int | None = None,
        start: int | None = None,
        end: int | None = None,
    ) -> None:
        self._path = path
        self._condition = condition
        self._n_decoded = 0
        self._expected: int | None = None
        self._last_pts: int | None = None
        self.start_pts: int | None = None
        self.end_pts = 0
        self.sound_start_s: float | None = None
        self.sound_end_s = self.sound_s = 0.0
        self.n_packets = self.n_ticks = self.n_skipped = 0
        self.end_position = 0
        self._file = None if start is None else FilePart(path, start, end)
        with self._decoding():
            self.container: Any = open_container(path) if self._file is None else av.open(self._file)
        try:
            self.stream: Any = self._choose(place, n_streams)
            self.stream.codec_context.options = _OPTIONS | self._more_options()
            self._codec: Any = _open_opus(self.stream.codec_context) or self.stream.codec_context
        except BaseException:
            self.close()
            raise

    def frames(self) -> Iterator[Any]:
        """Yield the frames of the stream.

        Raises
        ------
        AudioError
            By the condition: FFmpeg met damage, or frames are missing.
        """
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError as error:
                self._damaged(error.strerror or "unreadable")
                return
            if packet is None:
                return
            self._check_packet(packet)
            try:
                frames = list(self._codec.decode(packet))
            except av.error.FFmpegError as error:
                if not self._n_decoded and not self._condition.salvage:  # another decoder may know it
                    raise self._unreadable(error) from error
                self._damaged(error.strerror or "undecodable")
                continue
            for frame in frames:
                if getattr(frame, "is_corrupt", False):
                    self._damaged("a frame is corrupt")
                if self._codec.name == _LIBOPUS and not self._n_decoded:
                    _move_start(frame, packet)
                self._note_time(frame)
                self._n_decoded += frame.samples
                yield frame

    def keep_end(self) -> None:
        """Have what FFmpeg would cut off the end, from the next frame on; the caller knows the length."""
        self._codec.flags2 |= av.codec.context.Flags2.skip_manual

    def close(self) -> None:
        """Release the file."""
        self.container.close()
        if self._file is not None:
            self._file.close()

    def _note_time(self, frame: Any) -> None:
        if frame.time is None:
            return
        length_s = frame.samples / frame.sample_rate
        self.sound_s += length_s
        if self.sound_start_s is None:
            self.sound_start_s = frame.time
        self.sound_end_s = frame.time + length_s

    def _check_packet(self, packet: Any) -> None:
        if packet.is_corrupt:
            self._damaged("a packet is corrupt")
        if packet.size:
            self.n_packets += 1
            self.n_ticks += packet.duration or 0
        if not packet.size or packet.pts is None:
            return
        if self._expected is not None and self.container.format.name in _NUMBERED:
            self._check_number(packet)
        self._count_pause(packet)
        if self.start_pts is None:
            self.start_pts = packet.pts
        self.end_pts = self._expected = packet.pts + (packet.duration or 0)
        self.end_position = max(self.end_position, (packet.pos or 0) + packet.size)

    def _count_pause(self, packet: Any) -> None:
        """Count what is between two packets and longer than half of one."""
        length = packet.duration or 0
        if self._last_pts is not None and length:
            pause = packet.pts - length - self._last_pts
            self.n_skipped += pause if pause > max(2, length // 2) else 0
        self._last_pts = packet.pts

    def _check_number(self, packet: Any) -> None:
        n_missing = packet.pts - self._expected
        if n_missing > 0:
            self._damaged(f"{n_missing} samples are missing")
        elif n_missing < 0:
            self._condition.note(f"several songs were joined in it; the next begins at {self._position()}")

    def _choose(self, place: int | None, n_streams: int | None) -> Any:
        streams = self.container.streams
        if not any(stream.codec_context for stream in streams.audio):
            raise AudioError(f"{self._path}: holds no audio stream; name a file with sound in it")
        if n_streams not in (None, len(streams.audio)):
            raise AudioError(f"{self._path}: has {len(streams.audio)} audio streams, not {n_streams}")
        if place is not None and place >= len(streams.audio):
            raise AudioError(
                f"{self._path}: has no audio track {place + 1}; it has {len(streams.audio)}, counted from 1"
            )
        known = [stream for stream in streams.audio if stream.codec_context]
        if place is None and len(known) > 1 and _is_stem_file(self._path):
            place = 0  # the mixture
        chosen = (streams.best("audio") or known[0]) if place is None else streams.audio[place]
        if chosen.codec_context is None:
            raise AudioError(f"{self._path}: the codec of its audio is not known here; convert it to flac")
        return chosen

    def _more_options(self) -> dict[str, str]:
        # CAF counts padding that the last frame of ALAC does not have, and FFmpeg 8 would cut sound
        is_short = self.container.format.name == "caf" and self.stream.codec_context.name == "alac"
        return {"flags2": "+skip_manual"} if is_short else {}

    def _damaged(self, what: str) -> None:
        self._condition.damaged(f"damaged near {self._position()} ({what})", of=what)

    def _position(self) -> str:
        return f"{self._n_decoded / (self.stream.codec_context.sample_rate or 44100):.1f} s"

    @contextlib.contextmanager
    def _decoding(self) -> Iterator[None]:
        try:
            yield
        except (av.error.FFmpegError, ValueError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> AudioError:
        reason = getattr(error, "strerror", None) or error
        return AudioError(
            f"{self._path}: cannot be read as audio ({reason}); "
            "the file is damaged or of an unknown kind, get another copy"
        )


def _is_stem_file(path: Path) -> bool:
    """Tell whether the first track of a file is the mixture of the others; MUSDB18 says so by names only."""
    return path.name.lower().endswith(STEM_ENDINGS) or has_stem_box(path)


def _open_opus(native: Any) -> Any:
    """Return the decoder of libopus for a stream that FFmpeg's own would decode; None for another codec."""
    if native.name != "opus":
        return None
    codec: Any = av.CodecContext.create(_LIBOPUS, "r")
    codec.extradata = native.extradata
    codec.layout = native.layout
    codec.sample_rate = native.sample_rate
    codec.options = _OPTIONS | {"request_sample_fmt": "flt"}  # 16 bits by default
    return codec


def _move_start(frame: Any, packet: Any) -> None:
    """Move the time of the first frame behind what was skipped in front of it, which libopus leaves out."""
    if frame.pts is None or not packet.duration:
        return
    skipped_s = packet.duration * packet.time_base - Fraction(frame.samples, frame.sample_rate)
    frame.pts += max(0, math.floor(skipped_s / frame.time_base + Fraction(1, 2)))


def open_container(path: Path) -> Any:
    """Open a file, whatever its name: what stands before a colon would be a protocol to FFmpeg."""
    return av.open(f"file:{path}")
