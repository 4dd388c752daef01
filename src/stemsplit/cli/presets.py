"""Presets on the command line: options that are given there override the preset.

Weights belong to their models: other models come without them.
"""

from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from stemsplit.cli.console import warn
from stemsplit.errors import SettingsError
from stemsplit.registry.quality import find_finest
from stemsplit.registry.store import Registry
from stemsplit.separation.presets import Preset, read_preset

# an option of one of these groups overrides all that the preset sets in the group
_GROUPS: Final = ({"stems", "residual", "karaoke", "instrumental"}, {"format", "bits"})


def apply_preset(given: Mapping[str, Any], fixed: Set[str]) -> dict[str, Any]:
    """Return the options `given` with those of their preset, save for those that are `fixed`.

    Raises
    ------
    SettingsError
        If there is no such preset or file, or a setting is unknown or has the wrong type.
    ModelError
        If the file is not a TOML file.
    """
    path = Path(given["presets"]) if given["presets"] else None
    options = _to_options(_choose_models(read_preset(given["preset"], path), given, fixed))
    kept = set(fixed)
    for group in _GROUPS:
        kept |= group if group & fixed else set()
    if "model" in fixed:
        kept |= {"ensemble", "weights"}
    return {**given, **{option: value for option, value in options.items() if option not in kept}}


def _choose_models(preset: Preset, given: Mapping[str, Any], fixed: Set[str]) -> Preset:
    """Return a preset with the best of the installed models, if it wants them, and say which they are."""
    if not preset.best_installed or "model" in fixed:
        return preset
    commercial_only = bool(given["commercial_only"] or preset.commercial_only)
    finest = find_finest(Registry(given["models_dir"]), commercial_only=commercial_only)
    if not given["quiet"]:
        warn(f"{given['preset']}: {finest}")
    return preset.use(finest)


def _to_options(preset: Preset) -> dict[str, Any]:
    """Return the settings of a preset as values of options."""
    options = preset.settings
    for name in {"stems", "models"} & options.keys():
        options[name] = list(options[name])
    if "weights" in options:
        options["weights"] = [
            f"{stem}={','.join(f'{weight:g}' for weight in each)}"
            for stem, each in options["weights"].items()
        ]
    if "models" in options:
        options["model"] = options.pop("models")
    return options


@contextmanager
def naming_preset(given: Mapping[str, Any], applied: Mapping[str, Any]) -> Iterator[None]:
    """Add what the preset sets to a `SettingsError` of the body, which may be about one of these options."""
    try:
        yield
    except SettingsError as error:
        options = [f"--{option.replace('_', '-')}" for option in given if applied[option] != given[option]]
        if not options:
            raise
        raise SettingsError(f"{error} (the preset {given['preset']!r} sets {', '.join(options)})") from error
