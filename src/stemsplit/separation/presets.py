"""Presets: settings of a separation under a name, in a TOML file that the user writes, and three of our own.

::

    [voices]
    models = ["umxhq", "htdemucs"]
    stems = ["vocals"]
    residual = true
    wiener = 1
    weights = { vocals = [0.3, 0.7] }

Options on the command line override the preset. Weights belong to their models: other models come without
them. A preset with ``best_installed`` has the best of the installed models for each stem.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Final, cast

from stemsplit.did_you_mean import unknown_name
from stemsplit.errors import SettingsError
from stemsplit.files import user_dirs
from stemsplit.files.schema import NonEmpty, between, convert
from stemsplit.files.toml import read_tables
from stemsplit.registry.installed import resolve
from stemsplit.registry.quality import STEMS, FinestModels, find_finest
from stemsplit.registry.store import Registry
from stemsplit.separation.ensemble import EnsembleWeights
from stemsplit.separation.keywords import SEPARATOR_KEYWORDS, SeparatorKeywords
from stemsplit.separation.settings import SeparationSettings

FILE_NAME: Final = "presets.toml"
BUILT_IN: Final = Path(__file__).with_name(FILE_NAME)


# settings of the separator that a preset calls otherwise
_KEYWORDS: Final = {"chunk": "chunk_s", "overlap": "overlap_s", "batch": "batch_size"}
# keywords whose range the settings of a separation check
_RANGED: Final = frozenset({"wiener", "chunk_s", "overlap_s", "shifts", "transpositions", "before"})

_Count = Annotated[int, between(0, 2**31)]
_Text = Annotated[str, NonEmpty]
_Texts = Annotated[tuple[_Text, ...], NonEmpty]
_Weights = Annotated[tuple[float, ...], NonEmpty]


@dataclass(frozen=True)
class Preset:
    """The settings of a preset; None where it leaves one alone.

    Raises
    ------
    SettingsError
        If a value is out of its range, or two of them contradict each other.
    """

    models: _Texts | None = None
    best_installed: bool | None = None
    ensemble: bool | None = None
    weights: Mapping[str, _Weights] | None = None
    stems: _Texts | None = None
    residual: bool | None = None
    karaoke: _Text | None = None
    wiener: _Count | None = None
    chunk: float | None = None
    overlap: float | None = None
    batch: Annotated[int, between(1, 2**31)] | None = None
    shifts: _Count | None = None
    transpositions: _Count | None = None
    before: _Text | None = None
    half: bool | None = None
    int8: bool | None = None
    format: _Text | None = None
    bits: _Text | None = None
    commercial_only: bool | None = None

    def __post_init__(self) -> None:
        if self.best_installed and self.models is not None:
            raise SettingsError("best_installed chooses the models; leave models out")
        ensemble = EnsembleWeights(bool(self.ensemble), self.weights or {})
        ranged = {name: value for name, value in self.keywords.items() if name in _RANGED}
        SeparationSettings(**ranged, ensemble=ensemble)  # raises what is out of its range

    @property
    def settings(self) -> dict[str, Any]:
        """What the preset sets, by the names of its fields."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        del values["best_installed"]
        return {name: value for name, value in values.items() if value is not None}

    @property
    def keywords(self) -> dict[str, Any]:
        """What the preset sets, by the names of the keywords of a separator, and its other fields."""
        return {_KEYWORDS.get(name, name): value for name, value in self.settings.items()}

    def use(self, finest: FinestModels) -> "Preset":
        """Return the preset with the models of `finest`; several of them give the four stems and a residual.

        Raises
        ------
        SettingsError
            If there are none.
        """
        if not finest.models:
            raise SettingsError(
                "no installed model has known figures; see `stemsplit models list --available`"
            )
        chosen = replace(self, best_installed=None, models=finest.models)
        if len(finest.models) == 1:
            return chosen
        weighted = replace(chosen, weights=finest.weights)
        if self.stems is not None or self.karaoke is not None:
            return weighted
        stems = tuple(stem for stem in STEMS if stem in finest.by_stem)
        return replace(weighted, stems=stems, residual=True)

    def find_models(self, folder: Path) -> "Preset":
        """Return the preset with the files of its models looked for in `folder`."""
        if self.models is None:
            return self
        return replace(self, models=tuple(_locate(model, folder) for model in self.models))


def _locate(model: str, folder: Path) -> str:
    return str(folder / model) if model.endswith((".onnx", ".toml")) else model


def read_preset(name: str, path: Path | None = None) -> Preset:
    """Return a preset of the file `path`, or of the package.

    Parameters
    ----------
    name
        Of the preset.
    path
        The file; None for ``presets.toml`` in the user's settings folder, if there is one.

    Raises
    ------
    SettingsError
        If there is no such preset or file, or a setting is unknown or has the wrong type.
    ModelError
        If the file is not a TOML file.
    """
    lists = _read_lists(path)
    source = next((each for each, tables in lists.items() if name in tables), None)
    if source is None:
        own = next(iter(lists))
        problem = f"there is no preset {name!r}" if own == BUILT_IN else f"{own} has no preset {name!r}"
        raise unknown_name(problem, name, list_presets(path))
    table = lists[source][name]
    try:
        return convert(table, Preset, error=SettingsError).find_models(source.parent)
    except SettingsError as error:
        raise SettingsError(f"{source}: {name}: {error}") from error


def list_presets(path: Path | None = None) -> list[str]:
    """Return the names of the presets of a file and of the package, whether they are valid or not.

    Parameters
    ----------
    path
        As of `read_preset`.

    Raises
    ------
    SettingsError, ModelError
        If there is no such file, or it is not a TOML file.
    """
    return list(dict.fromkeys(name for tables in _read_lists(path).values() for name in tables))


def _read_lists(path: Path | None) -> dict[Path, dict[str, dict[str, Any]]]:
    """Return the tables of the user's file, if there is one, and of the package."""
    if path is not None and not path.exists():
        raise SettingsError(f"{path} does not exist; name the file of your presets")
    own = path or user_dirs.config_folder() / FILE_NAME
    return {each: read_tables(each) for each in (own, BUILT_IN) if each.exists()}


# a keyword of this group overrides all that the preset sets in the group
_STEMS: Final = frozenset({"stems", "residual", "karaoke"})


def merge_preset(
    preset: Preset, given: SeparatorKeywords, *, registry: Registry | None = None
) -> SeparatorKeywords:
    """Return the keywords of a separator: those `given`, and for the others what the preset sets.

    Weights belong to their models: other models come without them.

    Parameters
    ----------
    preset
        The preset.
    given
        What overrides it.
    registry
        Of the installed models, among which those of the preset are found, as files; None for the default,
        and the models stay as they are named.

    Raises
    ------
    ModelError, SettingsError
        If the preset takes the best of the installed models, and there are none or one cannot be read; or a
        model is not in `registry`.
    """
    if "models" not in given:
        preset = _choose_models(preset, registry)
    kept = set(given) | (_STEMS if _STEMS & set(given) else set())
    if "models" in given:
        kept |= {"ensemble", "weights"}
    merged = {
        name: value
        for name, value in preset.keywords.items()
        if name in SEPARATOR_KEYWORDS and name not in kept
    }
    return cast(SeparatorKeywords, {**merged, **given})


def _choose_models(preset: Preset, registry: Registry | None) -> Preset:
    if preset.best_installed:
        finest = find_finest(registry or Registry(), commercial_only=bool(preset.commercial_only))
        preset = preset.use(finest)
    if registry is None or preset.models is None:
        return preset
    return replace(preset, models=tuple(str(resolve(model, registry)) for model in preset.models))
