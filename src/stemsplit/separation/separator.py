"""The separator: models opened once, songs streamed through them.

``mixture -> pipeline (resample, STFT, chunks) -> masks -> cross-fade, inverse STFT, resample back -> stems``,
each arrow a thread of its own with a bounded buffer: memory does not grow with the song.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

import numpy as np

from stemsplit.dsp.blocks import MAX_CHANNELS, check_blocks, check_waveform, regroup
from stemsplit.dsp.meter import StemMeter
from stemsplit.errors import AudioError, ModelError, SettingsError
from stemsplit.models.device import choose_device
from stemsplit.models.mask_model import ModelInfo
from stemsplit.registry.catalog import bundled_models, resolve
from stemsplit.separation.ensemble import EnsembleWeights
from stemsplit.separation.level_scan import scan_blocks
from stemsplit.separation.mixer import Mixer
from stemsplit.separation.model_selection import open_cheapest, open_ensemble
from stemsplit.separation.pipelines import Pipeline, PipelineInput, PipelineRun, make_pipelines
from stemsplit.separation.prefetch import prefetch
from stemsplit.separation.recipe import make_recipe
from stemsplit.separation.settings import MAX_THREADS, SeparationSettings
from stemsplit.types import FloatArray

GPU_BATCH = 4

Progress = Callable[[int], None]


@dataclass(frozen=True)
class _Piece:
    """Part of the mixture and the chunks that it completed, pipeline by pipeline."""

    mixture: FloatArray
    chunks: tuple[Sequence[Any], ...]  # of a kind that the pipeline knows


# closed by the stage that draws from them, also when it fails: or else the stages before it would work on,
# and read from a song that the caller has closed, for as long as somebody holds the error
_Pieces: TypeAlias = Generator[_Piece, None, None]


class Separator:
    """Splits songs into stems with models that are opened once.

    Several songs may be streamed at the same time from different threads.

    Parameters
    ----------
    stems
        Targets to return, in this order; None for all.
    residual, karaoke, wiener, chunk_s, overlap_s, half, shifts
        See `SeparationSettings`.
    device
        ``auto``, ``cpu``, or a key of `stemsplit.models.device.BACKENDS`, with a number as in ``cuda:1``.
    provider_options
        Options for what runs the networks on the device, see onnxruntime's documentation.
    models
        ``.onnx`` files, descriptions (``.toml``) of foreign models, or names of registered ones, to use in
        place of the bundled ones; for a target that several offer, the first, or what follows. Of the
        bundled ones those are used that offer the stems for the least work.
    ensemble
        Average the models that offer the same target.
    weights
        For a target the weight of each of `models`, in their order, in place of a plain average.
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
        ensemble: bool = False,
        weights: Mapping[str, Sequence[float]] | None = None,
        provider_options: Mapping[str, str] | None = None,
        half: bool = False,
        shifts: int = 1,
    ) -> None:
        _check_lists(stems=stems, models=models)
        wanted = None if stems is None else tuple(stems)
        blend = EnsembleWeights(ensemble, {stem: tuple(each) for stem, each in (weights or {}).items()})
        self.settings = SeparationSettings(
            wanted, residual, karaoke, wiener, chunk_s, overlap_s, blend, half, shifts
        )
        _check_count("threads", threads, most=MAX_THREADS)
        _check_count("batch_size", batch_size)
        self._device = choose_device(device, provider_options, half=half)
        needed = (karaoke,) if karaoke is not None and wanted is None else wanted
        paths = bundled_models() if models is None else [resolve(model) for model in models]
        if models is None and blend.is_plain:
            self._models = open_cheapest(paths, needed, device=self._device, threads=threads)
        else:
            self._models, blend = open_ensemble(paths, needed, blend, device=self._device, threads=threads)
        specs = [model.info.spec for model in self._models]
        self._has_masks = [spec.has_ratio_masks for spec in specs]
        self._recipe = make_recipe(specs, wanted, residual=residual, karaoke=karaoke, blend=blend)
        self._batch_size = batch_size or (GPU_BATCH if self._device.is_gpu else 1)
        self._pipelines = make_pipelines(self._models, self._recipe.signals, self.settings, self._batch_size)

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of what is returned, in order."""
        return tuple(stem.name for stem in self._recipe.stems)

    @property
    def masked_stems(self) -> frozenset[str]:
        """Those of the stems that ratio masks alone make: a `StemMeter` knows how good they should be.

        A Wiener filter sharpens masks, which would pass for certainty.
        """
        if self.settings.wiener:
            return frozenset()
        return frozenset(
            stem.name for stem in self._recipe.stems if all(self._has_masks[s.model] for s in stem.signals)
        )

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
        self,
        blocks: Iterable[FloatArray],
        *,
        sample_rate: int,
        n_channels: int,
        meter: StemMeter | None = None,
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
            Of every block, at most `MAX_CHANNELS`.
        meter
            Hears the song and its stems; what it tells is right once the last block is here.

        Yields
        ------
        dict
            A block ``(channels, samples)`` of each stem. Together they are as long as the mixture.

        Raises
        ------
        AudioError
            If the mixture is empty or holds NaN or infinity, or a block has another shape.
        ModelError
            If a model makes NaN or infinity of it.
        OutputError
            If a model wants to hear all of the song first, and no temporary file can keep it meanwhile.
        SettingsError
            If the separator is closed.
        """
        if not self._pipelines:
            raise SettingsError("the separator is closed; open another one")
        if sample_rate < 1 or n_channels < 1:
            raise AudioError(f"{n_channels} channels at {sample_rate} Hz are no audio")
        if n_channels > MAX_CHANNELS:
            raise AudioError(f"{n_channels} channels are no song; at most {MAX_CHANNELS} are separated")
        pipelines = tuple(self._pipelines)
        runs = [pipeline.begin(sample_rate=sample_rate, n_channels=n_channels) for pipeline in pipelines]
        # samples of the mixture that make about one batch of chunks
        step_s = min(pipeline.step_s for pipeline in pipelines) * self._batch_size
        n_samples = max(1, int(step_s * sample_rate))
        pieces = prefetch(_read(runs, blocks, n_samples, sample_rate, n_channels))
        masked = prefetch(_infer(pipelines, pieces))
        mixer = Mixer(
            self._recipe.stems,
            [pipeline.signals for pipeline in pipelines],
            n_channels=n_channels,
            meter=meter,
        )
        return prefetch(self._finish(runs, masked, mixer))

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

        Raises
        ------
        AudioError
            If `waveform` is empty, holds NaN or infinity, or has its axes exchanged.
        """
        mixture = np.asarray(waveform, dtype=np.float32)
        check_waveform(mixture)
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
        """Let go of the models; songs that have begun keep them to their end."""
        self._models.clear()
        self._pipelines.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _finish(
        self, runs: Sequence[PipelineRun], pieces: _Pieces, mixer: Mixer
    ) -> Iterator[dict[str, FloatArray]]:
        with closing(pieces):
            outputs = [run.open_output() for run in runs]
            for piece in pieces:
                mixer.put_mixture(piece.mixture)
                for number, (output, chunks) in enumerate(zip(outputs, piece.chunks, strict=True)):
                    for chunk in chunks:
                        mixer.put_signals(number, output.process(chunk))
                yield from map(self._checked, mixer.process())
            for number, output in enumerate(outputs):
                mixer.put_signals(number, output.flush())
            yield from map(self._checked, mixer.flush())

    def _checked(self, stems: dict[str, FloatArray]) -> dict[str, FloatArray]:
        """`stems`, if all of them are numbers."""
        for name, samples in stems.items():
            if not np.isfinite(samples).all():
                models = ", ".join(model.name for model in self.models)
                raise ModelError(
                    f"the stem {name!r} holds NaN or infinity, the model ({models}) made it; use another"
                )
        return stems


def _read(
    runs: Sequence[PipelineRun],
    blocks: Iterable[FloatArray],
    n_samples: int,
    sample_rate: int,
    n_channels: int,
) -> Iterator[_Piece]:
    """Read a song in pieces of `n_samples` samples, twice where a pipeline needs a first pass."""
    scans = [run.scan for run in runs if run.scan is not None]
    with scan_blocks(blocks, scans, n_channels=n_channels) as scanned:
        inputs = [run.open_input() for run in runs]
        pieces = regroup(check_blocks(scanned, n_channels), n_samples)
        yield from _cut(pieces, inputs, sample_rate, n_channels)


def _cut(
    blocks: Iterable[FloatArray],
    inputs: Sequence[PipelineInput],
    sample_rate: int,
    n_channels: int,
) -> Iterator[_Piece]:
    n_samples = 0
    for mixture in blocks:
        _check_samples(mixture, n_samples / sample_rate)
        n_samples += mixture.shape[-1]
        yield _Piece(mixture, tuple(pipeline.process(mixture) for pipeline in inputs))
    if n_samples == 0:
        raise AudioError("the mixture has no samples")
    nothing = np.zeros((n_channels, 0), dtype=np.float32)
    yield _Piece(nothing, tuple(pipeline.flush() for pipeline in inputs))


def _infer(pipelines: Sequence[Pipeline], pieces: _Pieces) -> Iterator[_Piece]:
    with closing(pieces):
        for piece in pieces:
            chunks = zip(pipelines, piece.chunks, strict=True)
            yield _Piece(piece.mixture, tuple(pipeline.infer(found) for pipeline, found in chunks))


def _check_lists(**lists: object) -> None:
    for name, value in lists.items():
        if isinstance(value, str | Path):
            raise SettingsError(f"{name} is {str(value)!r}; give a list, as {name}=[{str(value)!r}]")


def _check_count(name: str, count: int | None, *, most: int | None = None) -> None:
    if count is not None and (count < 1 or (most is not None and count > most)):
        raise SettingsError(
            f"{name} is {count}; it must be 1 or more" + (f", at most {most}" if most else "")
        )


def _check_samples(mixture: FloatArray, start_s: float) -> None:
    if not np.isfinite(mixture).all():
        raise AudioError(f"the mixture holds NaN or infinity after {start_s:.1f} s; repair it first")
