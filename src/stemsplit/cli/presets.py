"""Presets: settings of a separation under a name, in a TOML file that the user writes, and two of our own.

::

    [voices]
    models = ["umxhq", "htdemucs"]
    stems = ["vocals"]
    residual = true
    wiener = 1
    weights = { vocals = [0.3, 0.7] }

Options on the command line override the preset. Weights belong to their models: other models come without
them.
"""

from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Final

from stemsplit.did_you_mean import unknown_name
from stemsplit.errors import SettingsError
from stemsplit.files import user_dirs
from stemsplit.files.schema import NonEmpty, between, convert
from stemsplit.files.toml import read_tables

FILE_NAME: Final = "presets.toml"
BUILT_IN: Final = Path(__file__).with_name(FILE_NAME)


_Count = Annotated[int, between(0, 2**31)]
_Text = Annotated[str, NonEmpty]
_Texts = Annotated[tuple[_Text, ...], NonEmpty]
_Weights = Annotated[tuple[float, ...], NonEmpty]


@dataclass(frozen=True)
class Preset:
    """The settings of a preset; None where it leaves one alone."""

    models: _Texts | None = None
    ensemble: bool | None = None
    weights: Mapping[str, _Weights] | None = None
    stems: _Texts | None = None
    residual: bool | None = None
    karaoke: _Text | None = None
    wiener: _Count | None = None
    chunk: float | None = None
    overlap: float | None = None
    batch: _Count | None = None
    shifts: _Count | None = None
    half: bool | None = None
    format: _Text | None = None
    bits: _Text | None = None
    commercial_only: bool | None = None

    def to_options(self, folder: Path) -> dict[str, Any]:
        """Return the settings as options of the command line; files of models are looked for in `folder`."""
        options = {field.name: getattr(self, field.name) for field in fields(self)}
        if self.stems is not None:
            options["stems"] = list(self.stems)
        if self.weights is not None:
            options["weights"] = [
                f"{stem}={','.join(f'{weight:g}' for weight in each)}" for stem, each in self.weights.items()
            ]
        models = options.pop("models")
        if models is not None:
            options["model"] = [
                str(folder / each) if each.endswith((".onnx", ".toml")) else each for each in models
            ]
        return {option: value for option, value in options.items() if value is not None}


# what is typed of one of these leaves the preset's word on the others out
_GROUPS: Final = ({"stems", "residual", "karaoke"}, {"format", "bits"})


def apply_preset(given: Mapping[str, Any], typed: Set[str]) -> dict[str, Any]:
    """Return the flags `given` with what their preset says, save for what was `typed`.

    Raises
    ------
    SettingsError
        If there is no such preset, or it holds what cannot be set; or the list that was named is not there.
    ModelError
        If the list cannot be read.
    """
    path = Path(given["presets"]) if given["presets"] else user_dirs.config_folder() / FILE_NAME
    if given["presets"] and not path.exists():
        raise SettingsError(f"{path} does not exist; name with --presets the list that has your presets")
    # nobody needs a list of their own for the presets that come with the package
    has_list = bool(given["presets"]) or path.exists()
    preset = read_preset(path if has_list else None, given["preset"])
    settled = set(typed)
    for group in _GROUPS:
        settled |= group if group & typed else set()
    if "model" in typed:
        settled |= {"ensemble", "weights"}
    return {**given, **{flag: value for flag, value in preset.items() if flag not in settled}}


@contextmanager
def naming_preset(given: Mapping[str, Any], applied: Mapping[str, Any]) -> Iterator[None]:
    """Have a `SettingsError` of the body tell what the preset set: it may be about what nobody typed."""
    try:
        yield
    except SettingsError as error:
        options = [f"--{flag.replace('_', '-')}" for flag in given if applied[flag] != given[flag]]
        if not options:
            raise
        raise SettingsError(f"{error} (the preset {given['preset']!r} sets {', '.join(options)})") from error


def read_preset(path: Path | None, name: str) -> dict[str, Any]:
    """Return what the preset `name` of a list (None: there is none), or of those built in, says as flags.

    Raises
    ------
    SettingsError, ModelError
    """
    lists = [(each, read_tables(each)) for each in (path, BUILT_IN) if each]
    found = next(((each, tables[name]) for each, tables in lists if name in tables), None)
    if found is None:
        known = list(dict.fromkeys(key for _, tables in lists for key in tables))
        problem = f"there is no preset {name!r}" if path is None else f"{path} has no preset {name!r}"
        raise unknown_name(problem, name, known)
    source, table = found
    try:
        return convert(table, Preset, error=SettingsError).to_options(source.parent)
    except SettingsError as error:
        raise SettingsError(f"{source}: {name}: {error}") from error
