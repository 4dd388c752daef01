"""What a file of coded frames holds, found by a first pass over their headers: no length is estimated."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from stemsplit.audio.frame_walk import Frame, Gap, GapKind
from stemsplit.audio.mp3_note import Mp3Note, find_note


@dataclass
class Song:
    """One song of the file, a further one for each that was joined to it.

    `kept_from` and `kept_to` bound its samples, counted over all frames of the file that hold sound, without
    what the encoder added.
    """

    note: Mp3Note | None
    first_sample: int
    n_frames: int = 0
    n_samples: int = 0
    n_bytes: int = 0

    @property
    def is_as_declared(self) -> bool:
        """Whether the frames are as many as the note says; some encoders count the note itself.

        Where it gives no number of frames, that of their bytes counts.
        """
        if self.note is None:
            return False
        if self.note.n_frames is None:
            return self.note.n_bytes == self.n_bytes
        if self.note.n_frames == self.n_frames + 1:
            return self.note.n_bytes is None or self.note.n_bytes <= self.n_bytes
        return self.note.n_frames == self.n_frames

    @property
    def kept_from(self) -> int:
        """Where its sound begins."""
        return self.first_sample + (self.note.n_leading if self.note else 0)

    @property
    def kept_to(self) -> int:
        """Where its sound ends; what is said to be padding counts as sound where other numbers are wrong."""
        n_trailing = self.note.n_trailing if self.note and self.is_as_declared else 0
        return max(self.kept_from, self.first_sample + self.n_samples - n_trailing)


@dataclass
class FrameScan:
    """The sum of all frames and gaps."""

    songs: list[Song] = field(default_factory=list)
    rates: Counter[int] = field(default_factory=Counter)
    channels: Counter[int] = field(default_factory=Counter)
    codecs: Counter[str] = field(default_factory=Counter)
    unknown: list[Gap] = field(default_factory=list)
    partial: Gap | None = None
    first_frame: int | None = None
    longest_frame: int = 0

    @property
    def n_samples(self) -> int:
        """Samples a channel of all songs, without what encoders added, at the rates of their frames."""
        return sum(song.kept_to - song.kept_from for song in self.songs)

    @property
    def n_frames(self) -> int:
        """Frames that hold sound."""
        return sum(song.n_frames for song in self.songs)

    @property
    def is_as_declared(self) -> bool:
        """Whether each song has a note with the number of its frames, and so nothing is missing."""
        return bool(self.songs) and all(song.is_as_declared for song in self.songs)


def scan_frames(walk: Iterable[Frame | Gap]) -> FrameScan:
    """Count the frames of a walk, and keep what is no frame."""
    scan = FrameScan()
    for item in walk:
        if isinstance(item, Gap):
            _add_gap(scan, item)
        else:
            _add_frame(scan, item)
    return scan


def _add_gap(scan: FrameScan, gap: Gap) -> None:
    if gap.kind is GapKind.PARTIAL:
        scan.partial = gap
    elif gap.kind is GapKind.UNKNOWN:
        scan.unknown.append(gap)


def _add_frame(scan: FrameScan, frame: Frame) -> None:
    note = find_note(frame)
    if scan.first_frame is None:
        scan.first_frame = frame.position
    if note is not None or not scan.songs:
        n_before = sum(song.n_samples for song in scan.songs)
        scan.songs.append(Song(note, n_before))
    scan.songs[-1].n_bytes += frame.header.n_bytes
    if note is not None:
        return
    header = frame.header
    song = scan.songs[-1]
    song.n_frames += 1
    song.n_samples += header.n_samples
    scan.rates[header.sample_rate] += header.n_samples
    scan.channels[header.n_channels] += 1
    scan.codecs[header.codec] += 1
    scan.longest_frame = max(scan.longest_frame, header.n_bytes)
