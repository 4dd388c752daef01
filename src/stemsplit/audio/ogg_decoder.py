"""Decoding Ogg: Vorbis, Opus, FLAC, Speex; all songs of a chain, one after another."""

from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

from stemsplit.audio.av_samples import FrameConverter, KeptFrame
from stemsplit.audio.av_source import AvSource
from stemsplit.audio.block_buffer import BlockBuffer
from stemsplit.audio.channel_mask import mask_of_layout
from stemsplit.audio.condition import Condition
from stemsplit.audio.info import AudioInfo
from stemsplit.audio.ogg_pages import OggAudio, OggLink, scan_ogg
from stemsplit.audio.pyav import name_subtype
from stemsplit.errors import AudioError
from stemsplit.types import FloatArray


class OggDecoder:
    """Decodes the links of an Ogg, each as a file of its own.

    Parameters
    ----------
    path : Path
        The file.
    condition : Condition
        Where damage goes.
    place : int, optional
        Which audio stream of each link, counted from 0; by default the one that a player would choose.

    Raises
    ------
    AudioError
        A page is damaged, or there is no sound.
    """

    def __init__(self, path: Path, condition: Condition, *, place: int | None = None) -> None:
        self._path = path
        self._condition = condition
        self._place = place
        self._subtype = ""
        self._starts_late = False
        self._links = scan_ogg(path, condition)
        audios = [audio for link in self._links if (audio := link.audio) is not None]
        self._frames = self._decode()
        converter = FrameConverter(
            self._frames,
            condition,
            least_rate=max((audio.sample_rate for audio in audios), default=0),
            least_channels=max((audio.n_channels for audio in audios), default=0),
        )
        if converter.is_empty:
            raise AudioError(f"{path}: holds no samples; export the song again")
        self._blocks = BlockBuffer(iter(converter))
        self.info = AudioInfo(
            converter.sample_rate,
            converter.n_channels,
            self._count(audios),
            "OGG",
            self._subtype,
            mask_of_layout(converter.layout),
        )

    def read(self, n_samples: int) -> FloatArray:
        """Decode the next block.

        Raises
        ------
        AudioError
            FFmpeg met damage, or a link is shorter than its pages number.
        """
        return self._blocks.read(n_samples, self.info.n_channels)

    def close(self) -> None:
        """Release the file."""
        self._frames.close()

    def _count(self, audios: list[OggAudio]) -> int | None:
        """Return the samples a channel of a single link, None where its pages do not tell."""
        if len(self._links) > 1 or not audios or self._place is not None or self._starts_late:
            return None
        return audios[0].n_samples or None

    def _decode(self) -> Generator[KeptFrame, None, None]:
        for link in self._links:
            source = AvSource(self._path, self._condition, place=self._place, start=link.start, end=link.end)
            with closing(source):
                self._subtype = self._subtype or name_subtype(source.stream.codec_context)
                yield from self._keep(source, link)

    def _keep(self, source: AvSource, link: OggLink) -> Iterator[KeptFrame]:
        """Yield the frames of a link up to the end that its last page gives, and note if there are fewer."""
        audio = link.audio
        declared = audio.n_samples if audio and self._place is None and not link.starts_late else 0
        n_kept = 0
        for frame in source.frames():
            if not n_kept and source.start_pts is not None and source.start_pts > 0:
                self._starts_late, declared = True, 0
            last = declared - n_kept if declared and link.has_end else None
            if last and not n_kept and frame.pts and self._subtype == "VORBIS":
                # in a single page FFmpeg counts a first packet that has no sound, and would cut the end
                source.keep_end()
            n_kept += frame.samples
            yield KeptFrame(frame, 0, None if last is None else max(0, last))
        if n_kept < declared:
            self._condition.damaged(
                f"damaged: {n_kept} samples are there of {declared} that its pages number"
            )
