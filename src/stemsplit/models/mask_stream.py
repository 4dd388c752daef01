"""A song in a graph that hands on a state: no frame goes through the network twice.

A network of finite reach needs frames on both sides of a chunk, and would compute them anew for each of its
neighbours. Such a graph keeps what its layers along time still need of the frames that it has had, and gives
its masks `ModelSpec.delay_frames` late. It takes

- ``mixture``: the next frames, as of any other model;
- ``present``, ``(batch, delay + frames)``: one where the song has a frame, zero before its first and after
  its last, for the frames of ``mixture`` and as many as the delay before them;
- ``state``, ``(batch, ...)``: zeros at the beginning, and then what the last call gave;

and gives ``mask``, whose frames are those of ``mixture`` shifted by the delay, and ``next_state``.
"""

from collections.abc import Callable, Sequence

import numpy as np

from stemsplit.errors import DeviceError
from stemsplit.types import FloatArray

INPUTS = ("mixture", "present", "state")
OUTPUTS = ("mask", "next_state")


class MaskStream:
    """The masks of one song, or of several of the same length, in one call after another.

    Parameters
    ----------
    run
        The graph: `INPUTS` to `OUTPUTS`.
    state_shape
        Of the state, without the batch.
    delay_frames
        Frames by which the masks come later than their input.
    """

    def __init__(
        self, run: Callable[..., Sequence[FloatArray]], *, state_shape: tuple[int, ...], delay_frames: int
    ) -> None:
        self._run, self._state_shape = run, state_shape
        self._present = np.zeros(delay_frames, np.float32)
        self._state: FloatArray | None = None

    def process(self, mixture: FloatArray, *, n_absent: int = 0) -> FloatArray:
        """Take the next frames; return the masks of as many frames, those of one delay ago.

        Where memory runs out the frames are halved, down to one. What comes out before the delay has passed
        belongs to no frame.

        Parameters
        ----------
        mixture
            ``(batch, features, bins, frames)``.
        n_absent
            How many of the frames, at their end, are not the song's: they go on after its last.

        Raises
        ------
        ModelError
            If onnxruntime cannot run the graph on these arrays.
        DeviceError
            If there is no memory for one frame.
        """
        present = np.ones(mixture.shape[-1], np.float32)
        present[mixture.shape[-1] - n_absent :] = 0
        if self._state is None:
            self._state = np.zeros((len(mixture), *self._state_shape), np.float32)
        return self._advance(mixture, present)

    def process_whole(self, mixture: FloatArray, *, n_calls: int = 1) -> FloatArray:
        """Take a whole song, as `process` does, in so many calls; return the masks of its frames."""
        n_frames, delay = mixture.shape[-1], len(self._present)
        padded = np.pad(mixture, ((0, 0), (0, 0), (0, 0), (0, delay)))
        masks, n_taken = [], 0
        for piece in np.array_split(padded, n_calls, axis=-1):
            n_taken += piece.shape[-1]
            masks.append(self.process(piece, n_absent=min(max(0, n_taken - n_frames), piece.shape[-1])))
        return np.concatenate(masks, axis=-1)[..., delay:]

    def _advance(self, mixture: FloatArray, present: FloatArray) -> FloatArray:
        known = np.concatenate([self._present, present])
        n_batch, n_frames = mixture.shape[0], mixture.shape[-1]
        try:
            masks, self._state = self._run(mixture, np.tile(known, (n_batch, 1)), self._state)
        except DeviceError:
            if n_frames == 1:
                raise
            half = n_frames // 2
            parts = (np.ascontiguousarray(mixture[..., :half]), np.ascontiguousarray(mixture[..., half:]))
            done = [
                self._advance(part, piece)
                for part, piece in zip(parts, np.split(present, [half]), strict=True)
            ]
            return np.concatenate(done, axis=-1)
        self._present = known[n_frames:]
        return masks
