"""The masks of the chunks of a song by a model that hands on a state."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from stemsplit.dsp.channels import group_channels
from stemsplit.dsp.chunks import Chunk
from stemsplit.models.features import make_features
from stemsplit.models.mask_model import MaskModel
from stemsplit.models.mask_stream import MaskStream
from stemsplit.separation.masks import mask_channels
from stemsplit.types import ComplexArray, FloatArray


class StreamedMasks:
    """Masks of one song, chunk after chunk; only frames that are new go through the network.

    Parameters
    ----------
    model
        A model with ``spec.delay_frames``.
    n_channels
        Of the song.
    fade
        Frames that two neighbouring chunks share.
    """

    def __init__(self, model: MaskModel, *, n_channels: int, fade: int) -> None:
        self._spec, self._fade = model.spec, fade
        groups = group_channels(n_channels, group_size=model.spec.n_channels)
        self._streams = [model.open_stream() for _ in groups]
        self._shared: FloatArray | None = None  # masks of the frames that the next chunk has again

    def process(self, chunks: Sequence[Chunk]) -> list[FloatArray]:
        """Return the masks of the next `chunks`, ``(targets, channels, rows, frames)``, of the kept frames.

        The chunks go through the network together, as one piece.
        """
        delay = self._spec.delay_frames
        pieces, lengths = [], []
        for index, chunk in enumerate(chunks):
            is_first = self._shared is None and index == 0
            start = 0 if is_first else chunk.kept.start + self._fade + delay
            stop = chunk.kept.stop + delay
            pieces.append(chunk.spectrogram[..., start:stop])
            lengths.append(stop - start)
        n_absent = sum(lengths) - sum(piece.shape[-1] for piece in pieces)
        if n_absent:
            pieces.append(np.zeros((*pieces[0].shape[:-1], n_absent), np.complex64))
        frames = pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=-1)
        masks = self._mask(frames, n_absent)
        if self._shared is None:
            masks, lengths[0] = masks[..., delay:], lengths[0] - delay
        found = []
        for new in np.split(masks, np.cumsum(lengths)[:-1], axis=-1):
            is_apart = self._shared is None or self._fade == 0
            known = new if is_apart else np.concatenate([self._shared, new], axis=-1)
            self._shared = known[..., known.shape[-1] - self._fade :].copy()
            found.append(known)
        return found

    def _mask(self, frames: ComplexArray, n_absent: int) -> FloatArray:
        """Return the masks ``(targets, channels, rows, frames)`` of ``(channels, bins, frames)``."""
        functions = [partial(self._advance, stream, n_absent) for stream in self._streams]
        masks: FloatArray = mask_channels(functions, self._spec, frames[None])[0]
        return masks

    def _advance(self, stream: MaskStream, n_absent: int, spectrograms: ComplexArray) -> FloatArray:
        return stream.process(make_features(spectrograms, self._spec.features), n_absent=n_absent)
