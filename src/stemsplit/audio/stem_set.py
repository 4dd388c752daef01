"""Writing the stems of a song: all of them or none, none clipped, and together still the mixture.

While a song is being separated its stems exist only as temporary files; `StemSet.complete` encodes them and
forces them to disk, `StemSet.place` gives all of them their names. Leaving without it removes everything that
was made.

Float WAV is written directly. For the other encodings the stems are spilled as float32 to files without a
name (a killed run leaves nothing), because whether a stem clips is known only at the end: then ONE gain goes
on all stems, so that they still sum to ``gain`` times the mixture. The gain is 1 as long as every sample,
rounded, is one that the encoding can hold.
"""

import os
import threading
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from stemsplit.audio.bit_rates import describe_rates
from stemsplit.audio.encoding import Encoding, check_encoding
from stemsplit.audio.pcm import gain_to_fit
from stemsplit.audio.stem_file import DirectStem, SpilledStem, StemWriter
from stemsplit.audio.tags import Tags
from stemsplit.audio.wav import WavFormat
from stemsplit.audio.write_report import WriteReport
from stemsplit.errors import OutputError
from stemsplit.files.atomic import explaining
from stemsplit.files.pending import PendingFile, place_all
from stemsplit.types import FloatArray

if TYPE_CHECKING:
    from stemsplit.audio.picture import VideoSource


class StemSet:
    """The stems of one song on their way to their files; a context manager.

    Parameters
    ----------
    paths : mapping of str to Path
        Destination of each stem.
    sample_rate : int
        In Hz.
    n_channels : int
    encoding : Encoding
        See `encoding.choose_encoding`.
    channel_mask : int
        Which speakers the channels are for, see `channel_mask`; kept in wav and flac.
    tags : Tags or None
        Of the song; each stem's title becomes "Title (stem)".
    video : VideoSource or None
        Whose picture the stems get, for a format of videos.
    replaceable : collection of Path
        Those of the destinations where a file may be replaced. Elsewhere also one that appears during the run
        is kept.

    Raises
    ------
    OutputError
        On construction: the encoding cannot hold this audio. On entering: a destination exists, or cannot be
        made. On writing, completing and placing: the disk is full, read-only, gone; nothing is left
        behind then.

    Examples
    --------
    >>> with StemSet(paths, sample_rate=44100, n_channels=2, encoding=encoding) as stems:  # doctest: +SKIP
    ...     stems.write({"vocals": vocals, "drums": drums})
    ...     report = stems.complete()
    ...     stems.place()
    """

    def __init__(
        self,
        paths: Mapping[str, Path],
        *,
        sample_rate: int,
        n_channels: int,
        encoding: Encoding,
        channel_mask: int = 0,
        tags: Tags | None = None,
        video: "VideoSource | None" = None,
        replaceable: Collection[Path] = (),
    ) -> None:
        assert paths
        check_encoding(encoding, sample_rate=sample_rate, n_channels=n_channels)
        self._encoding = encoding
        self._stop = threading.Event()
        self._n_channels = n_channels
        self._sample_rate = sample_rate
        self._n_samples = 0
        self._lowest = self._highest = 0.0
        kind = DirectStem if encoding.is_float and encoding.format == "wav" else SpilledStem
        self._stems: dict[str, StemWriter] = {
            name: kind(
                name,
                PendingFile(path, overwrite=path in replaceable),
                encoding=encoding,
                wav_format=WavFormat(sample_rate, n_channels, encoding.subtype, channel_mask),
                tags=tags or Tags(),
                stop=self._stop,
                video=video,
            )
            for name, path in paths.items()
        }

    def __enter__(self) -> Self:
        try:
            for stem in self._stems.values():
                stem.pending.prepare()
            for stem in self._stems.values():
                stem.begin()
        except BaseException:
            self._discard()
            raise
        return self

    def write(self, blocks: Mapping[str, FloatArray]) -> None:
        """Append one block to every stem.

        Parameters
        ----------
        blocks : mapping of str to array of float32, shape (channels, samples)
            The same shape for every stem. Stems that are not in ``paths`` are not written, but their peaks
            count for the common gain.
        """
        assert blocks.keys() >= self._stems.keys()
        shapes = {block.shape for block in blocks.values()}
        assert len(shapes) == 1 and next(iter(shapes))[0] == self._n_channels
        n_samples = next(iter(shapes))[1]
        if not n_samples:
            return
        for block in blocks.values():
            self._lowest = min(self._lowest, float(block.min()))
            self._highest = max(self._highest, float(block.max()))
        for name, stem in self._stems.items():
            block = blocks[name]
            with explaining(stem.pending.path):
                stem.write(np.ascontiguousarray(block.T))
        self._n_samples += n_samples

    @property
    def parts(self) -> dict[str, Path]:
        """The temporary file of each stem."""
        return {name: stem.pending.part for name, stem in self._stems.items()}

    def complete(self) -> WriteReport:
        """Encode what is not yet, and force it to disk.

        Returns
        -------
        WriteReport
        """
        if not self._n_samples:
            raise OutputError("no samples were written, so there is nothing to keep")
        gain = gain_to_fit(self._encoding, self._lowest, self._highest)
        notes = (
            *describe_rates(self._encoding, self._sample_rate, self._n_channels),
            *self._encode(gain),
        )
        peak = max(self._highest, -self._lowest)
        return WriteReport(gain, 0, peak, self._n_samples, notes)

    def rename(self, paths: Mapping[str, Path], *, replaceable: Collection[Path] = ()) -> None:
        """Change the destination of every stem.

        Parameters
        ----------
        paths : mapping of str to Path
            On the same disk as the earlier ones.
        replaceable : collection of Path
            As of the class.
        """
        for name, stem in self._stems.items():
            stem.pending.rename(paths[name], overwrite=paths[name] in replaceable)

    def add_tags(self, tags: Tags) -> None:
        """Add tags of the song; those that are known already stay."""
        for stem in self._stems.values():
            stem.tags = stem.tags | tags

    @property
    def pending(self) -> list[PendingFile]:
        """The files, which `complete` makes ready to be placed."""
        return [stem.pending for stem in self._stems.values()]

    def place(self) -> None:
        """Give every file its name, or after an error none, see `pending.place_all`."""
        place_all(self.pending)

    def _encode(self, gain: float) -> tuple[str, ...]:
        n_workers = min(len(self._stems), os.cpu_count() or 1)
        with ThreadPoolExecutor(n_workers, thread_name_prefix="encode") as pool:
            try:
                futures = [pool.submit(stem.complete, gain, self._n_samples) for stem in self._stems.values()]
                return tuple(note for future in futures for note in future.result())
            except BaseException:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._discard()

    def _discard(self) -> None:
        self._stop.set()
        for stem in self._stems.values():
            stem.close()
        for stem in reversed(self._stems.values()):
            stem.pending.discard()
