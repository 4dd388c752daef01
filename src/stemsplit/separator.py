"""The separator: models opened once, songs streamed through them.

``mixture -> lane (resample, STFT, chunks) -> masks -> cross-fade, inverse STFT, resample back -> stems``,
each arrow a thread of its own with a bounded buffer: memory does not grow with the song.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from stemsplit.blocks import Fifo, regroup
from stemsplit.catalog import bundled_models, open_cheapest, open_models
from stemsplit.chunks import Chunk
from stemsplit.device import choose_device
from stemsplit.errors import AudioError, SettingsError
from stemsplit.lane import Lane, LaneInput, LaneOutput, LaneSpec, MaskedChunk
from stemsplit.model import ModelInfo
from stemsplit.pipeline import prefetch
from stemsplit.recipe import Signal, Stem, make_recipe
from stemsplit.types import FloatArray

GPU_BATCH = 4
OUTPUT_SAMPLES = 65536

Progress = Callable[[int], None]


@dataclass(frozen=True)
class SeparationSettings:
    """Everything that decides what is in the stems, besides the models and the song.

    Parameters
    ----------
    stems
        Targets to write; None for all of them.
    residual
        Also write what the stems leave over.
    karaoke
        Write only this stem and the mixture minus it.
    wiener
        Iterations of the Wiener filter, 0 to 10; 0 leaves it out.
    chunk_s, overlap_s
        Length of a chunk and of the cross-fade between two, in seconds; None for the model's chunk length
        and half a second.

    Raises
    ------
    SettingsError
        If a value is out of its range.
    """

    stems: tuple[str, ...] | None = None
    residual: bool = False
    karaoke: str | None = None
    wiener: int = 0
    chunk_s: float | None = None
    overlap_s: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.wiener <= 10:
            raise SettingsError(f"wiener is {self.wiener}; it must be from 0 (off) to 10 iterations")
        for name, value in (("chunk", self.chunk_s), ("overlap", self.overlap_s)):
            if value is not None and not 0 <= value <= 600:
                raise SettingsError(f"{name} is {value} s; it must be from 0 to 600 s")


@dataclass(frozen=True)
class _Piece:
    """Part of the mixture and the chunks that it completed, lane by lane."""

    mixture: FloatArray
    chunks: tuple[list[Chunk], ...]


@dataclass(frozen=True)
class _MaskedPiece:
    mixture: FloatArray
    chunks: tuple[list[MaskedChunk], ...]


class Separator:
    """Splits songs into stems with models that are opened once.

    Several songs may be streamed at the same time from different threads.

    Parameters
    ----------
    stems
        Targets to return, in this order; None for all.
    residual, karaoke, wiener, chunk_s, overlap_s
        See `SeparationSettings`.
    device
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    models
        ``.onnx`` files to use in place of the bundled ones; for a target that several offer, the first. Of
        the bundled ones those are used that offer the stems for the least work.
    threads
        Threads of the network on the CPU; None for one a core.
    batch_size
        Chunks given to the network at once; None for 1 on the CPU and `GPU_BATCH` on a GPU.

    Raises
    ------
    SettingsError, ModelError, DeviceError

    Examples
    --------
    >>> separator = Separator(["drums", "vocals"], device="cpu")  # doctest: +SKIP
    >>> stems = separator(waveform, 44100)  # doctest: +SKIP
    """

    def __init__(
        self,
        stems: Sequence[str] | None = None,
        *,
        residual: bool = False,
        karaoke: str | None = None,
        wiener: int = 0,
        device: str = "auto",
        models: Sequence[Path | str] | None = None,
        threads: int | None = None,
        chunk_s: float | None = None,
        overlap_s: float | None = None,
        batch_size: int | None = None,
    ) -> None:
        wanted = None if stems is None else tuple(stems)
        self.settings = SeparationSettings(wanted, residual, karaoke, wiener, chunk_s, overlap_s)
        _check_counts(threads=threads, batch_size=batch_size)
        self._device = choose_device(device)
        needed = (karaoke,) if karaoke and wanted is None else wanted
        if models is None:
            self._models = open_cheapest(bundled_models(), needed, device=self._device, threads=threads)
        else:
            paths = [Path(model) for model in models]
            self._models = open_models(paths, needed, device=self._device, threads=threads)
        specs = [model.info.spec for model in self._models]
        self._recipe = make_recipe(specs, wanted, residual=residual, karaoke=karaoke)
        self._batch_size = batch_size or (1 if self._device.kind == "cpu" else GPU_BATCH)
        self._lanes = self._make_lanes()

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of what is returned, in order."""
        return tuple(stem.name for stem in self._recipe.stems)

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        """The models in use."""
        return tuple(model.info for model in self._models)

    @property
    def device(self) -> str:
        """Where the networks really run: ``cpu`` or ``cuda:N``."""
        return str(self._device)

    @property
    def device_reason(self) -> str:
        """Why `device` was chosen."""
        return self._device.reason

    def stream(
        self, blocks: Iterable[FloatArray], *, sample_rate: int, n_channels: int
    ) -> Generator[dict[str, FloatArray], None, None]:
        """Separate a song block by block, in bounded memory.

        Closing the generator stops the work.

        Parameters
        ----------
        blocks
            The mixture, float32 ``(channels, samples)``, full scale at 1; how it is cut does not matter.
        sample_rate
            In Hz.
        n_channels
            Of every block.

        Yields
        ------
        dict
            A block ``(channels, samples)`` of each stem. Together they are as long as the mixture.

        Raises
        ------
        AudioError
            If the mixture is empty or holds NaN or infinity.
        """
        if sample_rate < 1 or n_channels < 1:
            raise AudioError(f"{n_channels} channels at {sample_rate} Hz are no audio")
        pieces = prefetch(self._read(blocks, sample_rate, n_channels))
        masked = prefetch(self._infer(pieces))
        return prefetch(self._finish(masked, sample_rate, n_channels))

    def __call__(
        self, waveform: FloatArray, sample_rate: int, *, progress: Progress | None = None
    ) -> dict[str, FloatArray]:
        """Separate a song that is already in memory.

        Parameters
        ----------
        waveform
            ``(channels, samples)``, full scale at 1.
        sample_rate
            In Hz.
        progress
            Called with the number of samples finished so far.

        Returns
        -------
        dict
            float32 ``(channels, samples)`` for each stem, as long as `waveform`.
        """
        mixture = np.asarray(waveform, dtype=np.float32)
        if mixture.ndim != 2:
            raise AudioError(f"the waveform has shape {mixture.shape}; it must be (channels, samples)")
        stems = {name: np.empty_like(mixture) for name in self.stems}
        done = 0
        for block in self.stream([mixture], sample_rate=sample_rate, n_channels=mixture.shape[0]):
            n_samples = next(iter(block.values())).shape[-1]
            for name, samples in block.items():
                stems[name][:, done : done + n_samples] = samples
            done += n_samples
            if progress is not None:
                progress(done)
        return stems

    def close(self) -> None:
        """Let go of the models."""
        self._models.clear()
        self._lanes.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _make_lanes(self) -> list[Lane]:
        settings = self.settings
        lanes: dict[LaneSpec, list[int]] = {}
        for number, model in enumerate(self._models):
            spec = LaneSpec.of(model.info.spec, chunk_s=settings.chunk_s, overlap_s=settings.overlap_s)
            lanes.setdefault(spec, []).append(number)
        return [self._make_lane(spec, numbers) for spec, numbers in lanes.items()]

    def _make_lane(self, spec: LaneSpec, numbers: list[int]) -> Lane:
        signals = tuple(signal for signal in self._recipe.signals if signal.model in numbers)
        return Lane(
            spec=spec,
            models=tuple(self._models[number] for number in numbers),
            signals=signals,
            signal_models=tuple(numbers.index(signal.model) for signal in signals),
            wiener=self.settings.wiener,
            batch_size=self._batch_size,
        )

    def _block_samples(self, sample_rate: int) -> int:
        """Samples of the mixture that make about one batch of chunks."""
        steps_s = [
            lane.spec.chunks.step * lane.spec.stft.hop_length / lane.spec.sample_rate for lane in self._lanes
        ]
        return max(1, int(min(steps_s) * self._batch_size * sample_rate))

    def _read(self, blocks: Iterable[FloatArray], sample_rate: int, n_channels: int) -> Iterator[_Piece]:
        inputs = [
            LaneInput(lane.spec, sample_rate=sample_rate, n_channels=n_channels) for lane in self._lanes
        ]
        n_samples = 0
        for mixture in regroup(blocks, self._block_samples(sample_rate)):
            _check_samples(mixture, n_channels, n_samples / sample_rate)
            n_samples += mixture.shape[-1]
            yield _Piece(mixture, tuple(lane.process(mixture) for lane in inputs))
        if n_samples == 0:
            raise AudioError("the mixture has no samples")
        nothing = np.zeros((n_channels, 0), dtype=np.float32)
        yield _Piece(nothing, tuple(lane.flush() for lane in inputs))

    def _infer(self, pieces: Iterable[_Piece]) -> Iterator[_MaskedPiece]:
        for piece in pieces:
            chunks = zip(self._lanes, piece.chunks, strict=True)
            yield _MaskedPiece(piece.mixture, tuple(lane.infer(found) for lane, found in chunks))

    def _finish(
        self, pieces: Iterable[_MaskedPiece], sample_rate: int, n_channels: int
    ) -> Iterator[dict[str, FloatArray]]:
        outputs = [LaneOutput(lane, sample_rate=sample_rate, n_channels=n_channels) for lane in self._lanes]
        mixture = Fifo(n_channels)
        signals = {signal: Fifo(n_channels) for signal in self._recipe.signals}
        for piece in pieces:
            mixture.put(piece.mixture)
            for lane, output, chunks in zip(self._lanes, outputs, piece.chunks, strict=True):
                for chunk in chunks:
                    _put_all(signals, lane, output.process(chunk))
            n_ready = min([len(mixture), *(len(signal) for signal in signals.values())])
            yield from self._mix(mixture, signals, n_ready)
        for lane, output in zip(self._lanes, outputs, strict=True):
            _put_all(signals, lane, output.flush())
        yield from self._mix(mixture, signals, len(mixture))

    def _mix(
        self, mixture: Fifo, signals: Mapping[Signal, Fifo], n_samples: int
    ) -> Iterator[dict[str, FloatArray]]:
        """Take `n_samples` samples and make the stems of them, in blocks that cost little memory."""
        for start in range(0, n_samples, OUTPUT_SAMPLES):
            n_taken = min(OUTPUT_SAMPLES, n_samples - start)
            whole = mixture.take(n_taken)
            parts = {signal: fifo.take(n_taken) for signal, fifo in signals.items()}
            yield {stem.name: _add_up(stem, whole, parts) for stem in self._recipe.stems}


def _put_all(signals: Mapping[Signal, Fifo], lane: Lane, waveforms: Sequence[FloatArray]) -> None:
    for signal, waveform in zip(lane.signals, waveforms, strict=True):
        signals[signal].put(waveform)


def _add_up(stem: Stem, mixture: FloatArray, signals: Mapping[Signal, FloatArray]) -> FloatArray:
    total = stem.mixture * mixture if stem.mixture else np.zeros_like(mixture)
    for signal, sign in stem.signals.items():
        total += signals[signal] if sign == 1 else sign * signals[signal]
    return np.asarray(total, dtype=np.float32)


def _check_counts(**counts: int | None) -> None:
    for name, count in counts.items():
        if count is not None and count < 1:
            raise SettingsError(f"{name} is {count}; it must be 1 or more")


def _check_samples(mixture: FloatArray, n_channels: int, start_s: float) -> None:
    if mixture.shape[0] != n_channels:
        raise AudioError(f"a block has {mixture.shape[0]} channels, not {n_channels}")
    if not np.isfinite(mixture).all():
        raise AudioError(f"the mixture holds NaN or infinity after {start_s:.1f} s; repair it first")
