"""Routing: for each song one of several separators, by the kind of its music or by their masks on an excerpt.

The excerpt is the loudest stretch of the beginning, which is kept in memory and then separated like the rest,
so that a song may come from a pipe.
"""

import inspect
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from stemsplit.did_you_mean import unknown_name
from stemsplit.dsp.blocks import check_blocks, check_song
from stemsplit.dsp.meter import StemMeter
from stemsplit.errors import SettingsError
from stemsplit.models.activity import ActivityModel
from stemsplit.models.mask_model import ModelInfo
from stemsplit.music.style import Style, StyleClassifier, StyleMeter, style_model
from stemsplit.registry.installed import NotInstalledError, resolve
from stemsplit.registry.store import Registry
from stemsplit.separation.base_separator import BaseSeparator, Routed
from stemsplit.separation.keywords import SeparatorKeywords
from stemsplit.separation.presets import list_presets
from stemsplit.separation.route import Route
from stemsplit.separation.separator import Separator
from stemsplit.separation.settings import SeparationSettings
from stemsplit.types import FloatArray

_BEGINNING_S: Final = 60.0
_EXCERPT_S: Final = 12.0
_STEP_S: Final = 1.0
_DEFAULT: Final = "default"
_USUAL: Final = {
    name: parameter.default for name, parameter in inspect.signature(Separator).parameters.items()
}


class RoutedSeparator(BaseSeparator):
    """A separator that chooses another one for each song.

    Parameters
    ----------
    candidates
        Separators of the same stems by their names; the first stands where nothing decides.
    compared
        The candidates of which the one with the surest masks is taken; empty for no comparison.
    styles
        The candidate for a kind of music, by its name, which goes before a comparison.

    Raises
    ------
    SettingsError
        If there are fewer than two candidates, their stems differ, or a style or its candidate is unknown.
    """

    def __init__(
        self,
        candidates: Mapping[str, Separator],
        compared: Sequence[str] = (),
        styles: Mapping[str, str] | None = None,
    ) -> None:
        self._candidates, self._compared, self._styles = dict(candidates), tuple(compared), dict(styles or {})
        _check(self._candidates)
        self._classifier = StyleClassifier(style_model()) if self._styles else None
        if self._classifier is not None:
            _check_styles(self._styles, self._classifier.styles, self._candidates)
        self._first = next(iter(self._candidates.values()))
        self.settings = self._first.settings

    def __getstate__(self) -> Any:
        return {"candidates": self._candidates, "compared": self._compared, "styles": self._styles}

    def __setstate__(self, state: Any) -> None:
        type(self).__init__(self, **state)

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the stems that are returned, in order."""
        return self._first.stems

    @property
    def is_complete(self) -> bool:
        """Whether the stems sum to the mixture, whichever candidate makes them."""
        return all(each.is_complete for each in self._candidates.values())

    @property
    def masked_stems(self) -> frozenset[str]:
        """The stems that every candidate makes by ratio masks alone."""
        return frozenset.intersection(*(each.masked_stems for each in self._candidates.values()))

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        """The models of all candidates, each once."""
        found = {info.sha256: info for each in self._candidates.values() for info in each.models}
        return tuple(found.values())

    @property
    def activity_models(self) -> tuple[ActivityModel, ...]:
        """The outputs of the models of all candidates that state where targets play."""
        return tuple(model for each in self._candidates.values() for model in each.activity_models)

    @property
    def device(self) -> str:
        """The device that runs the networks."""
        return self._first.device

    @property
    def device_reason(self) -> str:
        """Why this device was chosen."""
        return self._first.device_reason

    @property
    def routes(self) -> dict[str, Any]:
        """What determines the choices and the stems, besides the models and `settings`.

        The ``settings`` of a candidate are those that differ from the first one's. They are left out where
        none differ, so that the stems of earlier versions are recognised.
        """
        names = {name: [info.sha256 for info in each.models] for name, each in self._candidates.items()}
        changes = {
            name: _find_changes(each.settings, self.settings) for name, each in self._candidates.items()
        }
        changed = {name: each for name, each in changes.items() if each}
        routes = {"candidates": names, "compared": list(self._compared), "styles": self._styles}
        return routes | ({"settings": changed} if changed else {})

    def route(self, blocks: Iterable[FloatArray], *, sample_rate: int, n_channels: int) -> Routed:
        """Choose the separator of one song.

        Parameters
        ----------
        blocks
            The mixture; its beginning is read, and is part of the blocks that are returned.
        sample_rate, n_channels
            Of the song.

        Raises
        ------
        AudioError
            As of `Separator.stream`, for the beginning.
        """
        check_song(sample_rate=sample_rate, n_channels=n_channels)
        iterator = iter(blocks)
        checked = check_blocks(iterator, n_channels, sample_rate=sample_rate)
        beginning = list(_read_beginning(checked, round(_BEGINNING_S * sample_rate)))
        style = self._name_style(beginning, sample_rate)
        if style is not None and (wanted := self._styles.get(style.name)) is not None:
            probability = style.probabilities[style.name]
            route = Route(wanted, f"{style.name} music, with a probability of {probability:.2f}", {}, style)
        else:
            route = self._compare(_find_excerpt(beginning, sample_rate, n_channels), sample_rate, style)
        return Routed(self._candidates[route.name], _chain(beginning, iterator), route)

    def stream(
        self,
        blocks: Iterable[FloatArray],
        *,
        sample_rate: int,
        n_channels: int,
        meter: StemMeter | None = None,
    ) -> Generator[dict[str, FloatArray], None, None]:
        """Separate a song block by block, by the candidate that is chosen for it, as `Separator.stream`."""
        chosen = self.route(blocks, sample_rate=sample_rate, n_channels=n_channels)
        return chosen.separator.stream(
            chosen.blocks, sample_rate=sample_rate, n_channels=n_channels, meter=meter
        )

    def close(self) -> None:
        """Release the models of all candidates."""
        for each in self._candidates.values():
            each.close()

    def _name_style(self, beginning: Sequence[FloatArray], sample_rate: int) -> Style | None:
        if self._classifier is None:
            return None
        meter = StyleMeter(self._classifier, sample_rate)
        for block in beginning:
            meter.process(block)
        return meter.finish()

    def _compare(self, excerpt: FloatArray, sample_rate: int, style: Style | None) -> Route:
        """Choose the candidate whose masks are surest on an excerpt."""
        first = next(iter(self._candidates))
        if not self._compared:
            kind = "silence" if style is None else f"{style.name} music"
            return Route(first, f"no route for {kind}", {}, style)
        if not excerpt.any():
            return Route(first, "the beginning is silent, so that the first candidate stands", {}, style)
        scores = {
            name: measure_confidence(self._candidates[name], excerpt, sample_rate) for name in self._compared
        }
        known = {name: score for name, score in scores.items() if score is not None}
        if len(known) < len(scores):
            unknown = ", ".join(sorted(scores.keys() - known.keys()))
            reason = f"no masks to compare of {unknown}, so that the first candidate stands"
            return Route(first, reason, scores, style)
        best = max(known, key=lambda name: known[name])
        return Route(best, f"the surest masks: an expected SDR of {known[best]:.2f} dB", scores, style)


def open_routed(
    keywords: SeparatorKeywords,
    compared: Sequence[str] = (),
    styles: Mapping[str, str] | None = None,
    *,
    presets: Path | None = None,
    registry: Registry | None = None,
) -> RoutedSeparator:
    """Open the candidates of routes.

    Parameters
    ----------
    keywords
        Settings of all candidates, as of `Separator`. Their models are the first candidate, called
        ``default``, unless candidates are `compared`.
    compared
        Names or files of models, or names of presets, of which the one with the surest masks is taken.
    styles
        The same, for kinds of music.
    presets
        The file of the presets; None for ``presets.toml`` in the user's settings folder.
    registry
        Of the installed models; None for the default.

    Raises
    ------
    SettingsError, ModelError, DeviceError, LicenceError
        As of `RoutedSeparator`, `Separator` and `Separator.from_preset`.
    """
    names = dict.fromkeys([*(compared or [_DEFAULT]), *(styles or {}).values()])
    candidates = {
        name: Separator(**keywords)
        if name == _DEFAULT
        else _open_candidate(name, keywords, presets, registry)
        for name in names
    }
    return RoutedSeparator(candidates, compared, styles)


def _open_candidate(
    name: str, keywords: SeparatorKeywords, presets: Path | None, registry: Registry | None
) -> Separator:
    own: SeparatorKeywords = {**keywords, "models": None, "ensemble": False, "weights": None}
    try:
        path = resolve(name, registry)
    except NotInstalledError:
        raise
    except SettingsError as unknown:
        known = list_presets(presets)
        if name not in known:
            raise unknown_name(f"{unknown}; nor a preset", name, known) from None
        changed = {key: value for key, value in own.items() if value != _USUAL.get(key)}
        return Separator.from_preset(
            name, presets=presets, registry=registry, **cast(SeparatorKeywords, changed)
        )
    of_model: SeparatorKeywords = {**own, "models": [path]}
    return Separator(**of_model)


def measure_confidence(separator: Separator, excerpt: FloatArray, sample_rate: int) -> float | None:
    """Return the mean expected SDR in dB of the stems of an excerpt ``(channels, samples)``.

    It is None unless every stem is made by ratio masks.
    """
    if separator.masked_stems < set(separator.stems):
        return None
    meter = StemMeter()
    stream = separator.stream([excerpt], sample_rate=sample_rate, n_channels=len(excerpt), meter=meter)
    for _ in stream:
        pass
    found = [score for score in meter.expected_sdr_db().values() if score is not None]
    return round(float(np.mean(found)), 2) if found else None


def _find_changes(settings: SeparationSettings, first: SeparationSettings) -> dict[str, Any]:
    """Return the settings that differ from `first`, save for the stems, which all candidates share."""
    usual = asdict(first)
    return {
        name: value for name, value in asdict(settings).items() if name != "stems" and value != usual[name]
    }


def _check(candidates: Mapping[str, Separator]) -> None:
    if len(candidates) < 2:
        raise SettingsError(
            f"a route leads to one of several models, but there is only {', '.join(candidates) or 'none'}"
        )
    stems = {name: each.stems for name, each in candidates.items()}
    first = next(iter(stems))
    for name, each in stems.items():
        if set(each) != set(stems[first]):
            raise SettingsError(
                f"{first} has the stems {', '.join(stems[first])}, but {name} has {', '.join(each)}; "
                "a route needs models with the same, name them with --stems"
            )


def _check_styles(styles: Mapping[str, str], known: Sequence[str], candidates: Mapping[str, object]) -> None:
    for style, name in styles.items():
        if style not in known:
            raise SettingsError(f"there is no style {style!r} to route; there are {', '.join(known)}")
        if name not in candidates:
            raise SettingsError(f"{style} music is routed to {name!r}, which is no candidate")


def _read_beginning(blocks: Iterator[FloatArray], n_samples: int) -> Iterator[FloatArray]:
    n_read = 0
    for block in blocks:
        yield block
        n_read += block.shape[-1]
        if n_read >= n_samples:
            return


def _chain(beginning: Iterable[FloatArray], rest: Iterator[FloatArray]) -> Iterator[FloatArray]:
    """Yield the blocks of the beginning, which are forgotten one by one, and the rest."""
    waiting = deque(beginning)
    while waiting:
        yield waiting.popleft()
    yield from rest


def _find_excerpt(beginning: Sequence[FloatArray], sample_rate: int, n_channels: int) -> FloatArray:
    """Return the loudest stretch of the beginning, ``(channels, samples)``."""
    whole = np.concatenate([np.zeros((n_channels, 0), np.float32), *beginning], axis=1)
    n_excerpt, n_step = round(_EXCERPT_S * sample_rate), round(_STEP_S * sample_rate)
    energy = np.concatenate([[0.0], np.cumsum(np.square(whole, dtype=np.float64).mean(axis=0))])
    starts = np.arange(0, max(1, whole.shape[1] - n_excerpt + 1), n_step)
    stops = np.minimum(starts + n_excerpt, whole.shape[1])
    start = int(starts[int(np.argmax(energy[stops] - energy[starts]))])
    return whole[:, start : start + n_excerpt]
