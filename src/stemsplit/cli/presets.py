"""Presets: settings of a separation under a name, in a TOML file that the user writes, and two of our own.

::

    [voices]
    models = ["umxhq", "htdemucs"]
    stems = ["vocals"]
    residual = true
    wiener = 1
    weights = { vocals = [0.3, 0.7] }

What is typed on the command line wins. Weights belong to their models: other models come without them.
"""

from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from stemsplit.did_you_mean import unknown_name
from stemsplit.errors import SettingsError
from stemsplit.files import user_dirs
from stemsplit.files.toml import read_tables

FILE_NAME: Final = "presets.toml"
BUILT_IN: Final = Path(__file__).with_name(FILE_NAME)


def _is_number(value: Any) -> bool:
    return type(value) in {int, float}


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_text, value))


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool)


def _is_weights(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(each, list) and each and all(map(_is_number, each)) for each in value.values()
    )


# each key, the flag it stands for, and what it must be
_KEYS: Final[Mapping[str, tuple[str, Callable[[Any], bool]]]] = {
    "models": ("model", _is_texts),
    "ensemble": ("ensemble", _is_truth),
    "weights": ("weights", _is_weights),
    "stems": ("stems", _is_texts),
    "residual": ("residual", _is_truth),
    "karaoke": ("karaoke", _is_text),
    "wiener": ("wiener", _is_count),
    "chunk": ("chunk", _is_number),
    "overlap": ("overlap", _is_number),
    "batch": ("batch", _is_count),
    "shifts": ("shifts", _is_count),
    "half": ("half", _is_truth),
    "format": ("format", _is_text),
    "bits": ("bits", _is_text),
    "commercial_only": ("commercial_only", _is_truth),
}
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
    flags: dict[str, Any] = {}
    for key, value in table.items():
        if key not in _KEYS:
            raise unknown_name(f"{source}: {name}: unknown setting {key!r}", key, _KEYS)
        flag, is_right = _KEYS[key]
        if not is_right(value):
            raise SettingsError(f"{source}: {name}: {key} is {value!r}, which is not of the right kind")
        flags[flag] = _as_flag(key, value, source)
    return flags


def _as_flag(key: str, value: Any, path: Path) -> Any:
    """Return `value` as it would have been typed; files of models are looked for beside the list."""
    if key == "stems":
        return ",".join(value)
    if key == "weights":
        return [f"{stem}={','.join(map(str, each))}" for stem, each in value.items()]
    if key == "models":
        return [str(path.parent / each) if each.endswith((".onnx", ".toml")) else each for each in value]
    return value
