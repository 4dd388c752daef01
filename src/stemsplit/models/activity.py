"""Activity timelines: some networks also state where each of their targets plays.

The graph of such a model has a second output, ``activity``, ``(batch, targets, steps)`` from 0 to 1, whose
steps divide the frames of a call evenly. It is computed from the mixture alone, without the masks.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from stemsplit.dsp.resample import Resampler
from stemsplit.dsp.stft import Analysis
from stemsplit.errors import ModelError
from stemsplit.models.session import Session
from stemsplit.types import FloatArray

if TYPE_CHECKING:
    from stemsplit.models.description import Description

ACTIVITY: Final = "activity"


@dataclass(frozen=True)
class Timeline:
    """Where a target plays.

    Attributes
    ----------
    step_s
        Seconds of a step.
    values
        For each step how surely the target plays in it, from 0 to 1.
    """

    step_s: float
    values: tuple[float, ...]


class ActivityModel:
    """The activity output of a described model, run over a song block by block.

    Parameters
    ----------
    description
        Of the model; its graph takes magnitudes of one channel, and a fixed number of frames.
    session
        The open file, with this output only.
    """

    def __init__(self, description: "Description", session: Session) -> None:
        self._description = description
        self._session = session

    def begin(self, *, sample_rate: int) -> "ActivityRun":
        """Return the run of one song at `sample_rate` Hz."""
        return ActivityRun(self._description, self._session, sample_rate)


class ActivityRun:
    """One song: blocks of the mixture in, timelines out."""

    def __init__(self, description: "Description", session: Session, sample_rate: int) -> None:
        self._description, self._session = description, session
        self._resampler = Resampler(from_hz=sample_rate, to_hz=description.sample_rate)
        self._analysis = Analysis(description.stft, n_channels=1)
        self._waiting = np.zeros((description.stft.n_bins, 0), np.float32)
        self._steps: list[FloatArray] = []
        self._n_frames = self._n_samples = 0

    def process(self, mixture: FloatArray) -> None:
        """Take ``(channels, samples)``.

        Raises
        ------
        ModelError
            If the steps of the network do not divide its frames.
        """
        self._n_samples += mixture.shape[1]
        mono = mixture.mean(axis=0, keepdims=True, dtype=np.float32)
        self._take(np.abs(self._analysis.process(self._resampler.process(mono)))[0])

    def finish(self) -> dict[str, Timeline]:
        """Return the timeline of each target; a song too short for a sample at the model's rate has none."""
        if not self._n_samples:
            return {}
        self._take(np.abs(self._analysis.process(self._resampler.flush()))[0])
        self._take(np.abs(self._analysis.flush())[0])
        n_frames, length = self._n_frames, self._description.n_frames
        if not n_frames:
            return {}
        if self._waiting.shape[1]:
            self._take(np.zeros((len(self._waiting), length - self._waiting.shape[1]), np.float32))
        frames_per_step = length // self._steps[0].shape[1]
        steps = np.concatenate(self._steps, axis=1)[:, : -(-n_frames // frames_per_step)]
        stft = self._description.stft
        step_s = frames_per_step * stft.hop_length / self._description.sample_rate
        return {
            target: Timeline(round(step_s, 4), tuple(round(float(value), 3) for value in values))
            for target, values in zip(self._description.graph_targets, steps, strict=True)
        }

    def _take(self, magnitudes: FloatArray) -> None:
        self._n_frames += magnitudes.shape[1]
        self._waiting = np.concatenate([self._waiting, magnitudes], axis=1)
        length = self._description.n_frames
        while self._waiting.shape[1] >= length:
            image = np.ascontiguousarray(self._waiting[None, None, :, :length], np.float32)
            self._waiting = self._waiting[:, length:]
            self._steps.append(self._infer(image))

    def _infer(self, image: FloatArray) -> FloatArray:
        """Return ``(targets, steps)`` of magnitudes ``(1, 1, bins, frames)``."""
        (found,) = self._session(image)
        n_targets, n_frames = len(self._description.graph_targets), self._description.n_frames
        n_steps = found.shape[-1] if found.ndim == 3 else 0
        if found.shape != (1, n_targets, n_steps) or not n_steps or n_frames % n_steps:
            raise ModelError(
                f"{self._session.path}: the graph gives {ACTIVITY!r} as {list(found.shape)}; it must be "
                f"[1, {n_targets}, steps], with steps that divide {n_frames} frames evenly"
            )
        steps: FloatArray = found[0]
        return steps
