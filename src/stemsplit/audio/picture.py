"""The picture of a video, on its way untouched from the song to its stems."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import av
import av.error
from av.stream import Disposition

from stemsplit.audio.av_source import open_container
from stemsplit.errors import OutputError

_CONTAINER: Final = "mp4"


def find_pictures(container: Any) -> list[Any]:
    """Return the video streams of what PyAV opened, without covers, which are pictures of one frame."""
    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def check_picture(path: Path) -> None:
    """Check that an mp4 can hold the picture of a video as it is.

    Raises
    ------
    OutputError
        It cannot: the picture would have to be encoded anew.
    """
    with open_container(path) as container, av.open(io.BytesIO(), "w", format=_CONTAINER) as target:
        names = [_name_codec(stream) for stream in find_pictures(container)]
        foreign = sorted({name for name in names if name not in target.supported_codecs})
    if foreign:
        raise OutputError(
            f"{path}: mp4 cannot hold its picture ({', '.join(foreign)}) untouched; "
            "choose m4a, and put the sound and the picture together with another program"
        )


@dataclass(frozen=True)
class VideoSource:
    """A video whose picture goes into the stems.

    Attributes
    ----------
    path : Path
    sound_start_s : float
        Where its sound begins in its time, in seconds.
    """

    path: Path
    sound_start_s: float


class Picture:
    """The picture, the subtitles and the chapters of a video; packet by packet as they are.

    Parameters
    ----------
    video : VideoSource
    target : av.container.OutputContainer
        Where its streams are added, behind those that are there.

    Attributes
    ----------
    lead_s : float
        How much later than the picture the sound begins, in seconds; 0 if it begins first.
    """

    def __init__(self, video: VideoSource, target: Any) -> None:
        self._container: Any = open_container(video.path)
        known = target.supported_codecs
        subtitles = [stream for stream in self._container.streams.subtitles if _name_codec(stream) in known]
        streams = [*find_pictures(self._container), *subtitles]
        self._targets = {stream.index: target.add_stream_from_template(stream) for stream in streams}
        for stream in streams:
            self._targets[stream.index].metadata.update(stream.metadata)
        starts = [
            float(stream.start_time * stream.time_base) for stream in streams if stream.start_time is not None
        ]
        # broadcasts begin at any time; what is written begins at 0
        self._start_s = min([video.sound_start_s, *starts])
        self.lead_s = video.sound_start_s - self._start_s
        target.set_chapters(list(_move_chapters(self._container.chapters(), self._start_s)))
        self._packets = _restore_times(self._container.demux(streams))
        self._next: Any = None

    def packets(self, until_s: float | None = None) -> Iterator[Any]:
        """Yield the packets that come next, up to a time in seconds from the beginning, or to the end."""
        while True:
            self._next = self._next or next(self._packets, None)
            if self._next is None:
                return
            packet = self._next
            if until_s is not None and packet.dts * packet.time_base - self._start_s > until_s:
                return
            self._next = None
            n_ticks = round(self._start_s / packet.time_base)
            packet.dts -= n_ticks
            packet.pts = None if packet.pts is None else packet.pts - n_ticks
            packet.stream = self._targets[packet.stream.index]
            yield packet

    def close(self) -> None:
        """Release the video."""
        self._container.close()


def _move_chapters(chapters: list[dict[str, Any]], start_s: float) -> Iterator[dict[str, Any]]:
    """Yield chapters as they lie in a video that begins at `start_s`."""
    for chapter in chapters:
        n_ticks = round(start_s / chapter["time_base"])
        start, end = max(0, chapter["start"] - n_ticks), max(0, chapter["end"] - n_ticks)
        yield chapter | {"start": start, "end": end}


def _restore_times(packets: Iterator[Any]) -> Iterator[Any]:
    """Yield packets with the times of their decoding, which Matroska leaves out before the first B-frame."""
    waiting: dict[int, list[Any]] = {}
    last: dict[int, int] = {}
    for packet in packets:
        index = packet.stream.index
        if not packet.size:
            continue
        if packet.dts is None and index not in last:
            waiting.setdefault(index, []).append(packet)
            continue
        if packet.dts is None:
            packet.dts = last[index] + _length(packet)
        yield from _count_back(waiting.pop(index, []), packet.dts)
        last[index] = packet.dts
        yield packet
    for rest in waiting.values():
        yield from _count_back(rest, (rest[-1].pts or 0) + _length(rest[-1]))


def _count_back(packets: list[Any], end: int) -> Iterator[Any]:
    for packet in reversed(packets):
        end -= _length(packet)
        packet.dts = end
    yield from packets


def _length(packet: Any) -> int:
    """Return how long a packet lasts, in its time base; where it does not say, by the rate of its stream."""
    rate = getattr(packet.stream, "average_rate", None)
    return max(1, packet.duration or (round(1 / (rate * packet.time_base)) if rate else 1))


def _name_codec(stream: Any) -> str:
    return str(stream.codec_context.name if stream.codec_context else stream.name or "unknown")
