"""The separator: models are opened once, songs are streamed through them."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Never, Self, Unpack

import numpy as np

from stemsplit.dsp.blocks import check_song
from stemsplit.dsp.meter import StemMeter
from stemsplit.errors import ModelError, SettingsError
from stemsplit.models.activity import ActivityModel
from stemsplit.models.device import choose_device
from stemsplit.models.licence import check_commercial
from stemsplit.models.mask_model import ModelInfo
from stemsplit.models.spectral_model import SpectralModel
from stemsplit.registry.installed import bundled_models, resolve
from stemsplit.registry.store import Registry
from stemsplit.separation.base_separator import BaseSeparator, Routed
from stemsplit.separation.drum_parts import DRUMS, MIXTURE, DrumParts
from stemsplit.separation.ensemble import EnsembleWeights
from stemsplit.separation.keywords import SeparatorKeywords, check_keywords, check_values, make_settings
from stemsplit.separation.mixer import Mixer
from stemsplit.separation.model_selection import open_cheapest, open_ensemble
from stemsplit.separation.pipelines import DRUM_TARGETS, make_pipelines
from stemsplit.separation.recipe import make_recipe
from stemsplit.separation.song_stream import stream_song
from stemsplit.separation.stem_names import StemVocabulary
from stemsplit.types import FloatArray

GPU_BATCH_SIZE = 4


class Separator(BaseSeparator):
    """Separates songs into stems.

    The models are opened once. Several songs may be streamed at the same time, from different threads.

    Parameters
    ----------
    stems
        Targets to return, in this order; None for all of them.
    residual, karaoke, wiener, chunk_s, overlap_s, half, int8, shifts, transpositions, drums, before
        As in `SeparationSettings`.
    device
        ``auto``, ``cpu``, or a key of `stemsplit.models.device.BACKENDS`, with an index as in ``cuda:1``.
    provider_options
        Options of the onnxruntime execution provider of the device.
    models
        ``.onnx`` files, descriptions (``.toml``) of external models, or names of installed models; None for
        the bundled models, of which those are opened that offer the stems at the lowest cost. Where several
        models offer the same target, the first provides it, unless `ensemble` or `weights` combine them.
    ensemble
        Average the models that offer the same target.
    weights
        For a target the weight of each of `models`, in their order, in place of an equal average.
    threads
        Threads of the networks on the CPU; None for one per core.
    batch_size
        Chunks in one run of a network; None for 1 on the CPU and `GPU_BATCH_SIZE` on a GPU.

    Raises
    ------
    SettingsError
        If a setting is out of its range or contradicts another one, or no model offers a stem.
    ModelError
        If a model file cannot be opened.
    DeviceError
        If the device is missing or cannot run the models.

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
        int8: bool = False,
        shifts: int = 1,
        transpositions: int = 1,
        drums: str = "stem",
        before: str | None = None,
        **unknown: Never,
    ) -> None:
        check_keywords(unknown)
        self._keywords = SeparatorKeywords(
            stems=stems,
            residual=residual,
            karaoke=karaoke,
            wiener=wiener,
            device=device,
            models=models,
            threads=threads,
            chunk_s=chunk_s,
            overlap_s=overlap_s,
            batch_size=batch_size,
            ensemble=ensemble,
            weights=weights,
            provider_options=provider_options,
            half=half,
            int8=int8,
            shifts=shifts,
            transpositions=transpositions,
            drums=drums,
            before=before,
        )
        check_values(self._keywords)
        paths = bundled_models() if models is None else [resolve(model) for model in models]
        vocabulary = StemVocabulary.of_models(paths)
        self.settings = make_settings(self._keywords, vocabulary)
        self._device = choose_device(device, provider_options, half=half, int8=int8)
        self._batch_size = batch_size or (GPU_BATCH_SIZE if self._device.is_gpu else 1)
        averaging = self._open_models(paths, vocabulary, threads, may_choose=models is None)
        self._make_pipelines(averaging)
        self._parts = self._open_parts(threads) if drums == "kit" else None

    def _open_models(
        self, paths: Sequence[Path], vocabulary: StemVocabulary, threads: int | None, *, may_choose: bool
    ) -> EnsembleWeights:
        """Open the models that the stems need; return the weights of those that are open."""
        settings = self.settings
        names = settings.stems
        if names is None and settings.karaoke is not None:
            names = (settings.karaoke,)
        needed = None if names is None else vocabulary.find_needed(names)
        if may_choose and settings.ensemble.is_default:
            self._models = open_cheapest(paths, needed, device=self._device, threads=threads)
            return settings.ensemble
        self._models, averaging = open_ensemble(
            paths, needed, settings.ensemble, device=self._device, threads=threads
        )
        return averaging

    def _make_pipelines(self, averaging: EnsembleWeights) -> None:
        settings, specs = self.settings, [model.info.spec for model in self._models]
        self._has_ratio_masks = [spec.has_ratio_masks for spec in specs]
        self._recipe = make_recipe(
            specs,
            settings.stems,
            residual=settings.residual,
            karaoke=settings.karaoke,
            ensemble=averaging,
            apart=DRUM_TARGETS if settings.before else frozenset(),
        )
        self._pipelines = make_pipelines(self._models, self._recipe.signals, settings, self._batch_size)

    def _open_parts(self, threads: int | None) -> DrumParts:
        names = [stem.name for stem in self._recipe.stems]
        if DRUMS not in names:
            raise SettingsError(
                f"the parts of the kit are made from the drums, but the stems are {', '.join(names)}; "
                "add drums, or leave drums='kit' out (--drums kit)"
            )
        parts = DrumParts(device=self._device, threads=threads, batch_size=self._batch_size)
        if taken := sorted({*parts.stems} & {*names}):
            raise SettingsError(f"a model has a stem {taken[0]!r} of its own; leave it or --drums kit out")
        return parts

    @classmethod
    def from_preset(
        cls,
        name: str,
        *,
        presets: Path | None = None,
        registry: Registry | None = None,
        **settings: Unpack[SeparatorKeywords],
    ) -> Self:
        """Return a separator with the settings of a preset.

        Parameters
        ----------
        name
            ``fast``, ``best``, or a preset of the user's file. Its format and bits are left out, since a
            separator writes no files.
        presets
            The user's file; None for ``presets.toml`` in the settings folder.
        registry
            Of the installed models that the preset names; None for that of the user.
        settings
            As of the class; they override the preset.

        Raises
        ------
        SettingsError, ModelError, DeviceError, LicenceError
            As of the class; also if there is no such preset, or a model may not be used commercially where
            the preset says ``commercial_only``.
        """
        from stemsplit.separation.presets import merge_preset, read_preset

        check_keywords(settings)
        preset = read_preset(name, presets)
        separator = cls(**merge_preset(preset, settings, registry=registry))
        if preset.commercial_only:
            check_commercial(separator.models)
        return separator

    def __getstate__(self) -> SeparatorKeywords:
        # a process pool or a cluster opens the models anew
        return self._keywords

    def __setstate__(self, state: SeparatorKeywords) -> None:
        type(self).__init__(self, **state)

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the stems that are returned, in order."""
        names = tuple(stem.name for stem in self._recipe.stems)
        return names if self._parts is None else self._parts.replace_in(names)

    @property
    def is_complete(self) -> bool:
        """Whether the stems sum to the mixture."""
        return self._recipe.is_complete

    @property
    def masked_stems(self) -> frozenset[str]:
        """The stems made by ratio masks alone, for which the expected SDR of a `StemMeter` is meaningful.

        There are none with a Wiener filter: it sharpens the masks, which would raise the expected SDR. Nor
        are there any where a mask is for a part of the mixture.
        """
        if self.settings.wiener or self.settings.before:
            return frozenset()
        masked = frozenset(
            stem.name
            for stem in self._recipe.stems
            if all(self._has_ratio_masks[signal.model] for signal in stem.signal_gains)
        )
        # the product of two ratio masks is one
        if self._parts is None or DRUMS not in masked:
            return masked
        return masked - {DRUMS} | set(self._parts.stems)

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        """The models in use."""
        parts = () if self._parts is None else (self._parts.info,)
        return (*(model.info for model in self._models), *parts)

    @property
    def activity_models(self) -> tuple[ActivityModel, ...]:
        """The outputs of the models in use that state where targets play."""
        found = (model.activity for model in self._models if isinstance(model, SpectralModel))
        return tuple(activity for activity in found if activity is not None)

    @property
    def routes(self) -> Mapping[str, Any] | None:
        """What determines the choice of a separator and the settings of each; None without a choice."""
        return None

    @property
    def device(self) -> str:
        """The device that runs the networks, for instance ``cpu`` or ``cuda:0``."""
        return str(self._device)

    @property
    def device_reason(self) -> str:
        """Why this device was chosen."""
        return self._device.reason

    def route(
        self,
        blocks: Iterable[FloatArray],
        *,
        sample_rate: int,  # noqa: ARG002 - of `BaseSeparator`
        n_channels: int,  # noqa: ARG002
    ) -> Routed:
        """Return the separator of one song, see `stemsplit.separation.routing`; here there is no choice."""
        return Routed(self, blocks, None)

    def stream(
        self,
        blocks: Iterable[FloatArray],
        *,
        sample_rate: int,
        n_channels: int,
        meter: StemMeter | None = None,
    ) -> Generator[dict[str, FloatArray], None, None]:
        """Separate a song block by block, in bounded memory.

        Closing the generator stops the separation.

        Parameters
        ----------
        blocks
            The mixture, floating point ``(channels, samples)``, full scale at 1, in blocks of any length.
        sample_rate
            Of the song, in Hz.
        n_channels
            Of every block, at most `stemsplit.dsp.blocks.MAX_CHANNELS`.
        meter
            Updated with the mixture and the stems; its results are final after the last block.

        Yields
        ------
        dict
            A block ``(channels, samples)`` of each stem. Together they are as long as the mixture.

        Raises
        ------
        AudioError
            If the mixture is empty, holds NaN, infinity or samples beyond 1e12, or a block has another shape.
        ModelError
            If a network returns NaN or infinity.
        OutputError
            If a model needs a first pass over the song, and no temporary file can be written for it.
        SettingsError
            If the separator is closed.
        """
        if not self._pipelines:
            raise SettingsError("the separator is closed; open another one")
        check_song(sample_rate=sample_rate, n_channels=n_channels)
        pipelines, parts = tuple(self._pipelines), self._parts
        mixer = Mixer(
            self._recipe.stems if parts is None else (*self._recipe.stems, MIXTURE),
            [pipeline.signals for pipeline in pipelines],
            n_channels=n_channels,
            meter=meter if parts is None else None,
        )
        stream = self._check_stems(
            stream_song(
                blocks,
                pipelines,
                mixer,
                sample_rate=sample_rate,
                n_channels=n_channels,
                batch_size=self._batch_size,
            )
        )
        if parts is not None:
            names = [stem.name for stem in self._recipe.stems]
            stream = parts.stream(stream, names, sample_rate=sample_rate, n_channels=n_channels, meter=meter)
            stream = self._check_stems(stream)
        return stream

    def close(self) -> None:
        """Release the models; songs that are being streamed keep them until they end."""
        self._models.clear()
        self._pipelines.clear()
        if self._parts is not None:
            self._parts.close()

    def _check_stems(
        self, stream: Generator[dict[str, FloatArray], None, None]
    ) -> Generator[dict[str, FloatArray], None, None]:
        """Yield the blocks of `stream`; raise a `ModelError` at the first that is not finite."""
        models = ", ".join(info.name for info in self.models)
        with closing(stream):
            for stems in stream:
                for name, samples in stems.items():
                    if not np.isfinite(samples).all():
                        raise ModelError(
                            f"the stem {name!r} holds NaN or infinity, the model ({models}) made it; "
                            "use another"
                        )
                yield stems
