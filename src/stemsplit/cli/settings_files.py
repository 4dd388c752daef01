"""Settings files: defaults for options, of the user and of a folder.

``config.toml`` in the user's settings folder and the nearest ``.stemsplit.toml`` of the working folder or
those above it. The latter overrides the former, options on the command line override both. Keys are the long
names of options; those of other commands stand in a table::

    format = "flac"
    stems = ["vocals", "drums"]

    [serve]
    port = 9000

    [routes]
    produced = "fast"

The commands below ``models`` share a table. ``models-dir`` outside the tables holds for every command.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import typer

from stemsplit.did_you_mean import unknown_name
from stemsplit.errors import SettingsError
from stemsplit.files import user_dirs
from stemsplit.files.toml import read_toml

FILE_NAME: Final = "config.toml"
FOLDER_FILE_NAME: Final = ".stemsplit.toml"
_NOT_SETTINGS: Final = frozenset({"inputs", "help", "show_config"})
_FILES: Final = frozenset({"presets", "models_dir", "kit", "cert", "key", "index", "describe"})


@dataclass(frozen=True)
class FileSetting:
    """The value of an option, and the file that sets it."""

    value: Any
    path: Path


def find_settings_files() -> list[Path]:
    """Return the settings files that there are; each overrides those before it."""
    own = user_dirs.config_folder() / FILE_NAME
    try:
        here = Path.cwd()
    except FileNotFoundError:  # deleted, which the commands that need it report
        return [own] if _is_file(own) else []
    of_folders = (folder / FOLDER_FILE_NAME for folder in (here, *here.parents))
    nearest = next((path for path in of_folders if _is_file(path)), None)
    return [path for path in (own, nearest) if path is not None and _is_file(path)]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except PermissionError:  # in a folder that is closed to the user
        return False


def read_settings(
    command: Any,
    ctx: typer.Context,
    section: str | None,
    *,
    others: Collection[str] = (),
    shared: bool = True,
) -> dict[str, FileSetting]:
    """Return the settings of all files for the options of `command`, by the names of its parameters.

    Parameters
    ----------
    command, ctx
        The command, and a context for its parameters.
    section
        The table of the command; None for the command that has the keys outside tables.
    others
        Keys of other commands with the same table, which are skipped.
    shared
        Whether the keys of `SHARED` outside the tables hold for the command as well.

    Raises
    ------
    SettingsError
        If a key is unknown, or a value has the wrong type or is out of range.
    ModelError
        If a file is not a TOML file.
    """
    settings: dict[str, FileSetting] = {}
    for path in find_settings_files():
        table = read_toml(path, about="settings")
        selected = _select(table, section, path)
        if section is not None and shared:
            selected = {**{key: table[key] for key in table if _dash(key) in SHARED}, **selected}
        settings |= dict(_convert(selected, command, ctx, path, {*others, *SHARED}))
    return settings


def read_routes() -> dict[str, FileSetting]:
    """Return the models or presets for kinds of music, the table ``[routes]`` of all files.

    Raises
    ------
    SettingsError
        If it is no table of names.
    ModelError
        If a file is not a TOML file.
    """
    routes: dict[str, FileSetting] = {}
    for path in find_settings_files():
        table = read_toml(path, about="settings").get(ROUTES, {})
        if not isinstance(table, dict) or not all(isinstance(name, str) for name in table.values()):
            raise SettingsError(
                f"{path}: {ROUTES} are models or presets for kinds of music; write them below a line "
                f'[{ROUTES}], such as produced = "fast"'
            )
        routes |= {style: FileSetting(_locate_model(name, path), path) for style, name in table.items()}
    return routes


def _select(table: Mapping[str, Any], section: str | None, path: Path) -> Mapping[str, Any]:
    if section is None:
        return {key: value for key, value in table.items() if not _is_section(key, value)}
    selected = table.get(section, {})
    if section in AMBIGUOUS and not isinstance(selected, dict):  # the option of this name
        return {}
    if not isinstance(selected, dict):
        raise SettingsError(f"{path}: {section} is a command; write its settings below a line [{section}]")
    return selected


# commands with a table of their own
SECTIONS: Final = ("serve", "analyse", "report", "replace", "unpack", "evaluate", "plan", "models")
# the table of models for kinds of music, of no command
ROUTES: Final = "routes"
# settings outside the tables that hold for every command that has the option
SHARED: Final = ("models-dir",)
# tables whose name is also an option of the separation: a file has one or the other
AMBIGUOUS: Final = ("analyse",)


def _is_section(key: str, value: Any) -> bool:
    return key == ROUTES or (key in SECTIONS and (key not in AMBIGUOUS or isinstance(value, dict)))


def _dash(key: str) -> str:
    return key.replace("_", "-")


def list_options(command: Any) -> dict[str, Any]:
    """Return the options of a command that a settings file may set, by their keys."""
    return {
        param.name.replace("_", "-"): param
        for param in command.params
        if param.param_type_name == "option" and param.name not in _NOT_SETTINGS
    }


def _convert(
    table: Mapping[str, Any], command: Any, ctx: typer.Context, path: Path, others: Collection[str]
) -> Iterator[tuple[str, FileSetting]]:
    options = list_options(command)
    for key, value in table.items():
        param = options.get(_dash(key))
        if param is None and _dash(key) in others:
            continue
        if param is None:
            raise unknown_name(f"{path}: unknown setting {key!r}", key, sorted({*options, *others}))
        yield param.name, FileSetting(_check(key, _arrange(param, value, path), param, ctx, path), path)


def _arrange(param: Any, value: Any, path: Path) -> Any:
    """Bring a value into the form of its option: lists, weights by stem, and paths beside the file."""
    if param.name == "weights" and isinstance(value, dict):
        return [f"{stem}={','.join(map(str, each))}" for stem, each in value.items()]
    if param.multiple and isinstance(value, str):
        value = [value]
    if param.name == "model" and isinstance(value, list):
        return [_locate_model(each, path) for each in value]
    if not isinstance(value, str):
        return value
    if param.name == "route":
        return ",".join(_locate_model(each.strip(), path) for each in value.split(","))
    if param.name == "output":
        # the user's own file is beside no songs
        return value if value == "-" else _locate(value, Path() if path.name == FILE_NAME else path.parent)
    return _locate(value, path.parent) if param.name in _FILES else value


def _locate_model(name: Any, path: Path) -> Any:
    """Return the model or preset of a name, or the file if it is one."""
    return _locate(name, path.parent) if str(name).endswith((".onnx", ".toml")) else name


def _locate(text: str, folder: Path) -> str:
    """Return a path in a settings file as the option takes it; addresses stay as they are."""
    from stemsplit.jobs.remote import is_url

    return text if is_url(text) else str(folder / Path(text).expanduser())


def _check(key: str, value: Any, param: Any, ctx: typer.Context, path: Path) -> Any:
    is_right = (
        isinstance(value, bool)
        if param.is_flag
        else isinstance(value, list) and all(isinstance(each, str) for each in value)
        if param.multiple
        else isinstance(value, str | int | float) and not isinstance(value, bool)
    )
    if not is_right:
        kind = (
            "true or false" if param.is_flag else "a list of strings" if param.multiple else "a single value"
        )
        raise SettingsError(f"{path}: {key} is {value!r}; it must be {kind}")
    try:
        return param.process_value(ctx, value if param.is_flag or param.multiple else str(value))
    except typer.BadParameter as error:
        raise SettingsError(f"{path}: {key}: {error.message.rstrip('.')}") from error
