"""Decoding with PyAV (FFmpeg): FLAC, m4a, alac, wma, Matroska, video containers and many more.

Length. Encoders put priming before the first sample and padding behind the last. FFmpeg drops the priming
that a container declares, and the padding where Matroska declares it. For mp4/m4a the end is taken from
iTunes' own note, else from the packets' lengths, cut at the edit list's end. AAC in Matroska declares no
padding: such songs come with what the encoder added. Where a container has time stamps, pauses between frames
are left out, as FFmpeg leaves them out.
"""

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av

from stemsplit.audio.av_samples import FrameConverter, KeptFrame
from stemsplit.audio.av_source import AvSource, open_container
from stemsplit.audio.block_buffer import BlockBuffer
from stemsplit.audio.channel_mask import mask_of_layout
from stemsplit.audio.condition import Condition
from stemsplit.audio.flac_frames import ends_at
from stemsplit.audio.info import AudioInfo
from stemsplit.audio.picture import find_pictures
from stemsplit.errors import AudioError
from stemsplit.types import FloatArray

_LOSSLESS: Final = frozenset({"flac", "wavpack", "tta", "ape", "tak", "mlp", "truehd"})
# Of these the edit list of a mov or mp4 says what the encoder added at the end.
_PADDED_IN_MOV: Final = frozenset({"aac", "alac", "opus", "libopus", "flac"})
_EXACT_DURATION: Final = frozenset({"wv", "tta", "ape"})
# Durations elsewhere are rounded, or cover the video too; a shortage beyond this is a cut file.
_SLACK_S: Final = 0.25
# Time stamps are rounded to milliseconds in many containers, and no frame is as short as this.
_ROUNDED_S: Final = 0.01
_LAST_FRAME_S: Final = 0.03
# Of these the duration of the container is in its header, and that of its sound ...
_TIMED_AS_A_WHOLE: Final = frozenset({"asf", "flv"})
# ... and of these time stamps show pauses.
_TIMED_BY_FRAME: Final = frozenset({"asf", "flv", "matroska", "mpegts", "mpeg", "nut", "rm"})


class AvDecoder:
    """Decodes one audio stream of a file with FFmpeg.

    Parameters
    ----------
    path, condition, place, n_streams
        As of `AvSource`.
    """

    def __init__(
        self, path: Path, condition: Condition, *, place: int | None = None, n_streams: int | None = None
    ) -> None:
        self._path = path
        self._condition = condition
        self._source = AvSource(path, condition, place=place, n_streams=n_streams)
        try:
            converter = FrameConverter(map(KeptFrame, self._source.frames()), condition)
            if converter.is_empty:
                raise AudioError(f"{path}: holds no samples; export the song again")
            self._format = self._source.container.format.name.split(",")[0]
            self._rate = converter.sample_rate
            self._n_samples = self._find_length(self._format)
        except BaseException:
            self.close()
            raise
        self._n_read = 0
        self._blocks = BlockBuffer(self._cut(converter))
        self.info = AudioInfo(
            converter.sample_rate,
            converter.n_channels,
            self._n_samples,
            self._format.upper(),
            name_subtype(self._source.stream.codec_context),
            mask_of_layout(converter.layout),
            converter.start_s if find_pictures(self._source.container) else None,
        )

    def read(self, n_samples: int) -> FloatArray:
        """Decode the next block.

        Raises
        ------
        AudioError
            FFmpeg met damage.
        """
        block = self._blocks.read(n_samples, self.info.n_channels)
        self._n_read += block.shape[1]
        if not block.shape[1]:
            self._check_end()
        return block

    def close(self) -> None:
        """Release the file."""
        self._source.close()

    def _find_length(self, container: str) -> int | None:
        """Return the samples a channel, where the container says so to the sample."""
        duration, time_base = self._source.stream.duration, self._source.stream.time_base
        if duration is None or time_base != Fraction(1, self._rate):
            return None
        if container == "flac":
            is_whole = not self._source.start_pts and ends_at(self._path, int(duration))
            return int(duration) if is_whole else None
        if container in _EXACT_DURATION:
            return int(duration)
        if container != "mov" or self._source.stream.codec_context.name not in _PADDED_IN_MOV:
            return None
        return self._find_mov_length(int(duration))

    def _find_mov_length(self, duration: int) -> int | None:
        with open_container(self._path) as container:
            end = _end_of_packets(container, self._source.stream.index)
            noted = _itunes_length(container.metadata.get("iTunSMPB", ""))
        tick = _edit_list_tick(duration, self._rate)
        if end < duration - tick:
            self._condition.damaged(
                f"truncated: {end / self._rate:.3f} s are there of the {duration / self._rate:.3f} s "
                "that its header declares"
            )
            return None
        if noted is not None and 0 < noted <= end:
            return noted
        return end if end - duration <= tick else duration

    def _cut(self, pieces: Iterable[FloatArray]) -> Iterator[FloatArray]:
        """Yield pieces up to the end that a mov or mp4 declares; other containers declare no padding."""
        left = self._n_samples if self._format == "mov" else None
        for piece in pieces:
            yield piece[:, :left]
            left = None if left is None else max(0, left - piece.shape[1])

    def _check_end(self) -> None:
        """Compare what was read with what the container declares."""
        stream = self._source.stream
        read_s = self._n_read / self.info.sample_rate
        if self._format == "flac" and stream.duration is not None:
            self._check_flac_end(int(stream.duration))
        # the end in time, which is the length only of what begins at 0 and never pauses
        declared_s = self._find_declared_end()
        end_s = max(read_s, float(self._source.end_pts * stream.time_base))
        what = f"it ends at {end_s:.3f} s, and its header declares {declared_s:.3f} s"
        if end_s < declared_s - _SLACK_S:
            self._condition.damaged(f"truncated: {what}")
        elif end_s < declared_s - _LAST_FRAME_S:
            self._condition.note(what)
        self._note_gaps()

    def _find_declared_end(self) -> float:
        """Return where the sound ends by what the container says, in seconds; 0 if it does not say."""
        container = self._source.container
        if self._format in _TIMED_AS_A_WHOLE and container.duration is not None:
            return float(container.duration / av.time_base)
        return _tagged_duration(self._source.stream.metadata.get("DURATION", ""))

    def _note_gaps(self) -> None:
        """Note pauses, which are left out: they may be sound that is missing."""
        source = self._source
        if self._format == "avi":
            n_read = max(source.n_packets, source.n_ticks)
            if n_read < source.stream.frames - 1:
                self._condition.note(
                    f"its index has {source.stream.frames} pieces of sound, {n_read} are there"
                )
            return
        if source.sound_start_s is None or self._format not in _TIMED_BY_FRAME:
            return
        gaps_s = source.sound_end_s - source.sound_start_s - source.sound_s
        if source.stream.codec_context.name.startswith("wma"):
            # its decoder is a frame behind, and so a gap at the beginning does not show
            gaps_s = max(gaps_s, float(source.n_skipped * source.stream.time_base))
        if gaps_s > _ROUNDED_S:
            self._condition.note(
                f"by its time stamps {gaps_s:.3f} s are pauses, or missing; they are left out"
            )

    def _check_flac_end(self, declared: int) -> None:
        what = f"its header declares {declared} samples, and {self._n_read} are there"
        if self._n_read > declared > 0:
            self._condition.note(f"{what}; all of them are read")
        elif self._n_read < declared and self._source.start_pts:
            self._condition.note(f"{what}: it was cut out of a longer one")
        elif self._n_read < declared:
            self._condition.damaged(f"truncated: {what}")


def _end_of_packets(container: Any, index: int) -> int:
    """Return where the last packet ends, in samples; reads the packets, decodes nothing."""
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


def name_subtype(codec: Any) -> str:
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
