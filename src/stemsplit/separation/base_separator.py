"""What every separator can do, whether it has models of its own or chooses another one for each song."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np

from stemsplit.dsp.blocks import AudioArray, check_waveform, scale_to_float
from stemsplit.dsp.meter import StemMeter
from stemsplit.models.activity import ActivityModel
from stemsplit.models.mask_model import ModelInfo
from stemsplit.separation.route import Route
from stemsplit.separation.settings import SeparationSettings
from stemsplit.separation.stems import Stems
from stemsplit.types import FloatArray

# called with the samples that are finished, and with all of them, None where their number is unknown
Progress = Callable[[int, int | None], object]


@dataclass(frozen=True)
class Routed:
    """The separator of one song, the blocks of it, and why it was chosen; None if there was no choice."""

    separator: "BaseSeparator"
    blocks: Iterable[FloatArray]
    route: Route | None


class BaseSeparator(ABC):
    """Separates songs into stems.

    Several songs may be streamed at the same time, from different threads.

    Attributes
    ----------
    settings : SeparationSettings
        How the stems are made.
    """

    settings: SeparationSettings

    def __repr__(self) -> str:
        models = ", ".join(info.name for info in self.models)
        return (
            f"<{type(self).__name__} {', '.join(self.stems)} with {models or 'no models, closed'} "
            f"on {self.device}>"
        )

    @property
    @abstractmethod
    def stems(self) -> tuple[str, ...]:
        """Names of the stems that are returned, in order."""

    @property
    @abstractmethod
    def is_complete(self) -> bool:
        """Whether the stems sum to the mixture."""

    @property
    @abstractmethod
    def masked_stems(self) -> frozenset[str]:
        """The stems made by ratio masks alone, for which the expected SDR of a `StemMeter` is meaningful."""

    @property
    @abstractmethod
    def models(self) -> tuple[ModelInfo, ...]:
        """The models in use."""

    @property
    @abstractmethod
    def activity_models(self) -> tuple[ActivityModel, ...]:
        """The outputs of the models in use that state where targets play."""

    @property
    @abstractmethod
    def routes(self) -> Mapping[str, Any] | None:
        """What determines the choice of a separator and the settings of each; None without a choice."""

    @property
    @abstractmethod
    def device(self) -> str:
        """The device that runs the networks, for instance ``cpu`` or ``cuda:0``."""

    @property
    @abstractmethod
    def device_reason(self) -> str:
        """Why this device was chosen."""

    @abstractmethod
    def route(self, blocks: Iterable[FloatArray], *, sample_rate: int, n_channels: int) -> Routed:
        """Return the separator of one song, which is this one where there is no choice.

        The beginning of the blocks may be read; it is part of those that are returned.
        """

    @abstractmethod
    def stream(
        self,
        blocks: Iterable[FloatArray],
        *,
        sample_rate: int,
        n_channels: int,
        meter: StemMeter | None = None,
    ) -> Generator[dict[str, FloatArray], None, None]:
        """Separate a song block by block, in bounded memory, see `stemsplit.Separator.stream`."""

    def __call__(self, waveform: AudioArray, sample_rate: int, *, progress: Progress | None = None) -> Stems:
        """Separate a song that is already in memory.

        Parameters
        ----------
        waveform
            ``(channels, samples)``: floating point with full scale at 1, or int16, int32 or uint8, which are
            scaled by the range of their type.
        sample_rate
            In Hz.
        progress
            Called with the number of samples finished so far, and with that of all samples.

        Returns
        -------
        Stems
            float32 ``(channels, samples)`` for each stem, as long as `waveform`.

        Raises
        ------
        AudioError
            If `waveform` is empty, holds NaN, infinity or samples beyond 1e12, has its axes exchanged, or is
            of a type without a full scale.
        """
        mixture = scale_to_float(waveform)
        check_waveform(mixture)
        stems = Stems({name: np.empty_like(mixture) for name in self.stems}, sample_rate)
        n_done = 0
        for block in self.stream([mixture], sample_rate=sample_rate, n_channels=mixture.shape[0]):
            n_samples = next(iter(block.values())).shape[-1]
            for name, samples in block.items():
                stems[name][:, n_done : n_done + n_samples] = samples
            n_done += n_samples
            if progress is not None:
                progress(n_done, mixture.shape[-1])
        return stems

    @abstractmethod
    def close(self) -> None:
        """Release the models; songs that are being streamed keep them until they end."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
