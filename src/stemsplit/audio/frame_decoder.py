"""Decoding mp3, mp2 and raw AAC: the frames are found and counted here, and FFmpeg decodes each by itself.

So nothing is estimated: all frames of the file reach the stems, also behind an end that a header declares,
behind tags, in songs that were joined, and where mono becomes stereo or the rate changes. What LAME and
others noted to have added at both ends is cut off, for each song that was joined.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import av
import av.error

from stemsplit.audio.av_samples import FrameConverter, KeptFrame
from stemsplit.audio.block_buffer import BlockBuffer
from stemsplit.audio.condition import Condition
from stemsplit.audio.frame_headers import ParseHeader, parse_mpeg
from stemsplit.audio.frame_scan import FrameScan, Song, scan_frames
from stemsplit.audio.frame_walk import Frame, FrameWalk
from stemsplit.audio.info import AudioInfo
from stemsplit.audio.mp3_note import Mp3Note, find_note
from stemsplit.errors import AudioError
from stemsplit.types import FloatArray

_SUBTYPES: Final = {"mp1": "MPEG_LAYER_I", "mp2": "MPEG_LAYER_II", "mp3": "MPEG_LAYER_III", "aac": "AAC"}


class FrameStreamDecoder:
    """Decodes coded frames that stand one after another.

    Parameters
    ----------
    path : Path
        The file.
    parse : callable
        `frame_headers.parse_mpeg` or `frame_headers.parse_adts`.
    condition : Condition
        Where damage goes.
    start, end : int, optional
        Where the frames are, in bytes; by default all of the file.
    container : str, optional
        Named in `info`.

    Raises
    ------
    AudioError
        There is no frame, or something else than frames and tags.
    """

    def __init__(
        self,
        path: Path,
        parse: ParseHeader,
        condition: Condition,
        *,
        start: int = 0,
        end: int | None = None,
        container: str | None = None,
    ) -> None:
        self._condition = condition
        self._parse = parse
        self._is_mpeg = parse is parse_mpeg
        self._file: BinaryIO = path.open("rb")
        try:
            self._start, self._end = start, self._file.seek(0, 2) if end is None else end
            self._scan = scan_frames(self._walk())
            if not self._scan.n_frames:
                raise AudioError(
                    f"{path}: holds no frame of audio; check that the file is what its name says"
                )
            _check_scan(self._scan, condition)
            converter = FrameConverter(
                self._decode(),
                condition,
                least_rate=max(self._scan.rates),
                least_channels=max(self._scan.channels),
            )
        except BaseException:
            self.close()
            raise
        self._blocks = BlockBuffer(iter(converter))
        is_counted = self._is_mpeg and len(self._scan.rates) == 1 and not condition.salvage
        subtype = _SUBTYPES[self._scan.codecs.most_common(1)[0][0]]
        self.info = AudioInfo(
            converter.sample_rate,
            converter.n_channels,
            self._scan.n_samples if is_counted else None,
            container or ("MP3" if self._is_mpeg else "ADTS"),
            subtype,
        )

    def read(self, n_samples: int) -> FloatArray:
        """Decode the next block.

        Raises
        ------
        AudioError
            FFmpeg cannot decode a frame.
        """
        return self._blocks.read(n_samples, self.info.n_channels)

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def _walk(self) -> FrameWalk:
        return FrameWalk(self._file, self._start, self._end, self._parse)

    def _decode(self) -> Iterator[KeptFrame]:
        """Yield what FFmpeg makes of each frame, and which of its samples the encoder did not add."""
        codec: Any = av.CodecContext.create("mp3float" if self._is_mpeg else "aac", "r")
        songs = iter(self._scan.songs)
        song: Song | None = None
        position = 0
        for item in self._walk():
            if not isinstance(item, Frame):
                continue
            is_note = find_note(item) is not None
            if is_note or song is None:
                song = next(songs)
            if is_note:
                continue
            for frame in self._decode_one(codec, item, position):
                yield self._keep(frame, song, position)
            position += item.header.n_samples

    def _decode_one(self, codec: Any, item: Frame, position: int) -> list[Any]:
        what: str | None = "it decodes to nothing"
        try:
            if frames := list(codec.decode(av.Packet(item.data))):
                return frames
        except av.error.FFmpegError as error:
            what = error.strerror
        time_s = position / item.header.sample_rate
        self._condition.damaged(
            f"damaged near {time_s:.1f} s (the frame at byte {item.position}: {what})", of="frames"
        )
        return []

    def _keep(self, frame: Any, song: Song, position: int) -> KeptFrame:
        if not self._is_mpeg:  # no encoder notes what it adds, and SBR doubles the samples
            return KeptFrame(frame)
        return KeptFrame(frame, max(0, song.kept_from - position), max(0, song.kept_to - position))


def _check_declared(note: Mp3Note, song: Song, condition: Condition) -> None:
    """Compare the frames of a song, or else their bytes, with what its header declares."""
    if note.n_frames is not None:
        declared, there, unit = note.n_frames, song.n_frames, "frames"
    elif note.n_bytes is not None:
        declared, there, unit = note.n_bytes, song.n_bytes, "bytes"
    else:
        return
    what = f"its header declares {declared} {unit}, and {there} are there"
    if there < declared:
        condition.damaged(f"truncated: {what}")
    else:
        condition.note(f"{what}; all of them are read")


def _check_scan(scan: FrameScan, condition: Condition) -> None:
    """Hold the frames against what encoders noted, and look at what is no frame."""
    for song in scan.songs:
        if song.note is not None and not song.is_as_declared:
            _check_declared(song.note, song, condition)
    if scan.partial is not None and not scan.is_as_declared:
        condition.damaged(f"truncated: it ends inside a frame, after {scan.partial.n_bytes} bytes of it")
    for gap in scan.unknown:
        what = f"{gap.n_bytes} bytes at byte {gap.position} are neither audio nor a tag"
        is_in_front = scan.first_frame is not None and gap.position < scan.first_frame
        if scan.is_as_declared or is_in_front or gap.n_bytes < scan.longest_frame:
            condition.note(what)
        else:
            condition.damaged(f"damaged: {what}")
