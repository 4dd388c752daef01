"""One stem on its way to its file: written block by block, completed once the gain is known."""

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, Protocol

from stemsplit.audio.encoders import WavEncoder, open_encoder
from stemsplit.audio.encoding import Encoding
from stemsplit.audio.spill import open_spill, read_spill, write_spill
from stemsplit.audio.tags import Tags, write_tags
from stemsplit.audio.wav import WavFormat
from stemsplit.errors import OutputError
from stemsplit.files.atomic import explaining
from stemsplit.files.pending import PendingFile
from stemsplit.types import FloatArray

if TYPE_CHECKING:
    from stemsplit.audio.picture import VideoSource


class StemWriter(Protocol):
    """One stem that is being written."""

    pending: PendingFile
    tags: Tags

    def begin(self) -> None: ...

    def write(self, samples: FloatArray) -> None: ...

    def complete(self, gain: float, n_samples: int) -> list[str]: ...

    def close(self) -> None: ...


class StemFile:
    """What both kinds of stems share: a pending file, a format, tags."""

    def __init__(
        self,
        name: str,
        pending: PendingFile,
        *,
        encoding: Encoding,
        wav_format: WavFormat,
        tags: Tags,
        stop: threading.Event,
        video: "VideoSource | None" = None,
    ) -> None:
        self.pending = pending
        self._name = name
        self._encoding = encoding
        self._format = wav_format
        self.tags = tags
        self._stop = stop
        self._video = video
        self._file: BinaryIO | None = None

    def close(self) -> None:
        """Close the open file, if there is one."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()

    def _tag(self) -> str | None:
        """Tag the finished temporary file; return why not, if it did not work."""
        try:
            write_tags(
                self.pending.part,
                self.tags,
                self._name,
                format=self._encoding.format,
                channel_mask=self._format.channel_mask if self._needs_mask_tag else 0,
            )
        except OutputError as error:
            return f"{self.pending.path}: written without tags ({error.__cause__})"
        return None

    @property
    def _needs_mask_tag(self) -> bool:
        """Whether a comment must name the speakers of the channels, as in FLAC; WAV has a field for them."""
        return self._encoding.format == "flac" and self._format.n_channels > 2

    def _sync(self) -> None:
        with self.pending.part.open("rb+") as file:
            os.fsync(file.fileno())


class DirectStem(StemFile):
    """Float WAV, encoded while the song is being separated."""

    def begin(self) -> None:
        self._file = self.pending.open()
        with explaining(self.pending.path):
            self._encoder = WavEncoder(self._file, self._format, bits=None, n_samples=None, gain=1.0)

    def write(self, samples: FloatArray) -> None:
        self._encoder.write(samples)

    def complete(self, gain: float, n_samples: int) -> list[str]:
        assert gain == 1.0 and n_samples and self._file is not None
        with explaining(self.pending.path):
            self._encoder.finish()
            self._file.close()
            note = _tag_wav(self)
            self._sync()
        return [note] if note else []


class SpilledStem(StemFile):
    """Float32 in a nameless file beside the destination, encoded once the gain is known."""

    def begin(self) -> None:
        with explaining(self.pending.path):
            self._file = open_spill(self.pending.path.parent)

    def write(self, samples: FloatArray) -> None:
        assert self._file is not None
        write_spill(self._file, samples)

    def complete(self, gain: float, n_samples: int) -> list[str]:
        with explaining(self.pending.path):
            self._encode(gain, n_samples)
            if self._encoding.format == "wav":
                note = _tag_wav(self)
            elif note := self._tag():
                # Whatever the failure left of the file, the audio is still in the spill.
                self._encode(gain, n_samples)
            self._sync()
        return [note] if note else []

    def _encode(self, gain: float, n_samples: int) -> None:
        with self.pending.open() as file:
            encoder = open_encoder(
                file,
                self._encoding,
                sample_rate=self._format.sample_rate,
                n_channels=self._format.n_channels,
                n_samples=n_samples,
                gain=gain,
                channel_mask=self._format.channel_mask,
                video=self._video,
            )
            try:
                for samples in self._read_spill(n_samples):
                    encoder.write(samples)
                encoder.finish()
            finally:
                encoder.abort()

    def _read_spill(self, n_samples: int) -> Iterator[FloatArray]:
        assert self._file is not None
        for samples in read_spill(self._file, n_samples, self._format.n_channels):
            if self._stop.is_set():
                raise OutputError(f"{self.pending.path}: not finished, because another stem failed")
            yield samples


def _tag_wav(stem: StemFile) -> str | None:
    """Tag a WAV file, and put it back as it was if that fails: the tags come behind the audio."""
    part = stem.pending.part
    with part.open("rb") as file:
        head = file.read(8)
        size = os.fstat(file.fileno()).st_size
    note = stem._tag()
    if note:
        with part.open("rb+") as file:
            file.truncate(size)
            file.write(head)
    return note
