"""The ``config`` commands: where the settings are, what they hold, and what they may hold."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import typer

from stemsplit.cli.configured import ConfiguredCommand
from stemsplit.cli.console import show
from stemsplit.cli.exit import run_command
from stemsplit.cli.help import get_panel
from stemsplit.cli.options.panels import Panel
from stemsplit.cli.settings_files import (
    AMBIGUOUS,
    FILE_NAME,
    FOLDER_FILE_NAME,
    ROUTES,
    FileSetting,
    find_settings_files,
    list_options,
    read_routes,
    read_settings,
)
from stemsplit.cli.show_config import format_value
from stemsplit.errors import OutputError
from stemsplit.files import user_dirs
from stemsplit.files.atomic import explaining
from stemsplit.jobs.result import ExitStatus

STYLES: Final = ("acoustic", "produced")  # the kinds of music that the network of the package names

config = typer.Typer(
    help="Show, edit and explain your settings.", rich_markup_mode=None, add_completion=False
)


def _own_file() -> Path:
    return user_dirs.config_folder() / FILE_NAME


@config.callback(invoke_without_command=True)
def _show_by_default(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        run_command(lambda: _show(ctx))


@config.command("show", help="Show the settings files, and what they set.")
def _show_command(ctx: typer.Context) -> None:
    run_command(lambda: _show(ctx))


def _show(ctx: typer.Context) -> ExitStatus:
    files = find_settings_files()
    own = _own_file()
    lines = [f"# {own}" + ("" if own in files else " (not there; `stemsplit config edit` creates it)")]
    lines += [f"# {path}" for path in files if path != own]
    for section, commands in _configured(ctx).items():
        settings: dict[str, FileSetting] = {}
        keys = {key for command in commands for key in list_options(command)}
        for command in commands:
            settings |= read_settings(command, ctx, section, others=keys, shared=False)
        lines += _format_table(section, settings)
    show(*lines, *_format_table(ROUTES, read_routes()))
    return ExitStatus.OK


def _format_table(section: str | None, settings: Mapping[str, FileSetting]) -> Iterator[str]:
    if settings and section is not None:
        yield f"\n[{section}]"
    for name, setting in settings.items():
        yield f"{name.replace('_', '-')} = {format_value(setting.value)}  # {setting.path.name}"


@config.command("path", help="Print where your settings file is, or would be.")
def _path_command() -> None:
    def command() -> ExitStatus:
        show(str(_own_file()))
        return ExitStatus.OK

    run_command(command)


@config.command("explain", help="Print a settings file with every key, its meaning and its default.")
def _explain_command(ctx: typer.Context) -> None:
    def command() -> ExitStatus:
        show(*_explain(ctx))
        return ExitStatus.OK

    run_command(command)


@config.command("edit", help="Open your settings file in VISUAL, EDITOR or the system's editor.")
def _edit_command(ctx: typer.Context) -> None:
    run_command(lambda: _edit(_own_file(), ctx))


def _edit(path: Path, ctx: typer.Context) -> ExitStatus:
    if not path.exists():
        with explaining(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(_explain(ctx)) + "\n", encoding="utf-8")
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        typer.launch(str(path))
        return ExitStatus.OK
    import shlex

    try:
        status = subprocess.run([*shlex.split(editor), str(path)], check=False).returncode
    except OSError as error:
        raise OutputError(
            f"the editor {editor!r} cannot be started ({error.strerror}); set EDITOR"
        ) from error
    return ExitStatus.OK if status == 0 else ExitStatus.FAILED


def _configured(ctx: typer.Context) -> dict[str | None, list[ConfiguredCommand]]:
    """Return the commands that settings files are for by their tables, the default command first."""
    group: Any = ctx.find_root().command
    found: dict[str | None, list[ConfiguredCommand]] = {}
    for each in group.commands.values():
        for command in getattr(each, "commands", {"": each}).values():
            if isinstance(command, ConfiguredCommand):
                found.setdefault(command.section, []).append(command)
    return dict(sorted(found.items(), key=lambda pair: pair[0] or ""))


def _explain(ctx: typer.Context) -> Iterator[str]:
    yield "# Settings of stemsplit: defaults for options. Options on the command line override them."
    yield f"# A file {FOLDER_FILE_NAME} in a folder overrides them for that folder and those below it."
    for section, commands in _configured(ctx).items():
        known = {key: param for command in commands for key, param in list_options(command).items()}
        if section is not None:
            yield f"\n#[{section}]"
        if section in AMBIGUOUS:
            yield f"# A file has either this table or the setting {section} above."
        for panel in Panel:
            options = {key: param for key, param in known.items() if get_panel(param) is panel}
            if options and section is None:
                yield f"\n# {panel}"
            for key, param in options.items():
                yield f"# {param.help}"
                yield f"#{key} = {_example(param)}"
    yield f"\n#[{ROUTES}]"
    yield "# Models or presets for kinds of music, which a small network names. Options override them."
    yield from (f'#{style} = ""' for style in STYLES)


def _example(param: Any) -> str:
    if param.multiple:
        return "[]"
    return format_value("" if param.default is None else param.default)
