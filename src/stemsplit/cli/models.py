"""The arguments of the ``models`` commands. Nothing heavy is imported before one of them runs."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stemsplit.cli.completion import complete_models, complete_registered
from stemsplit.cli.configured import RegistryCommand
from stemsplit.cli.exit import run_command
from stemsplit.cli.options.shared import ModelsFolder
from stemsplit.errors import SettingsError
from stemsplit.jobs.result import ExitStatus

if TYPE_CHECKING:
    from stemsplit.registry.store import Registry

models = typer.Typer(help="List, show, fetch and check models.", rich_markup_mode=None, add_completion=False)
_command = partial(models.command, cls=RegistryCommand)
Json = Annotated[bool, typer.Option("--json", help="Write JSON.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a model of the same name.")]
Name = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="What to call it. Default: as it calls itself.")
]
Describe = Annotated[
    str | None, typer.Option("--describe", metavar="TOML", help="Description of a file that has none itself.")
]


Model = Annotated[
    str,
    typer.Argument(metavar="NAME|PATH", help="A model's name, or a file.", autocompletion=complete_models),
]
Registered = Annotated[
    str,
    typer.Argument(metavar="NAME", help="Name of a registered model.", autocompletion=complete_registered),
]


def _registry(folder: str | None) -> "Registry":
    from stemsplit.registry.store import Registry

    return Registry(folder)


def _run(command: Callable[["Registry"], ExitStatus], folder: str | None) -> None:
    run_command(lambda: command(_registry(folder)))


@models.callback(invoke_without_command=True)
def _list_by_default(ctx: typer.Context, json: Json = False, models_dir: ModelsFolder = None) -> None:
    if ctx.invoked_subcommand is None:
        _invoke_list(ctx, json=json, models_dir=models_dir)
    elif json or models_dir is not None:
        option, value = ("--json", "") if json else ("--models-dir", f" {models_dir}")
        run_command(lambda: _refuse(f"{ctx.invoked_subcommand} {option}{value}", option))


def _invoke_list(ctx: typer.Context, *, json: bool, models_dir: str | None) -> None:
    """Run ``models list``, which takes its defaults from the settings files."""
    group: Any = ctx.command
    args = [*(["--json"] if json else []), *([] if models_dir is None else ["--models-dir", models_dir])]
    command = group.commands["list"]
    with command.make_context("list", args, parent=ctx) as own:
        command.invoke(own)


def _refuse(command: str, option: str) -> ExitStatus:
    raise SettingsError(f"{option} goes behind the command: stemsplit models {command}")


@_command("list", help="List the models of the package and your own.")
def _list_models(
    json: Json = False,
    available: Annotated[
        bool, typer.Option("--available", help="Those that can be fetched by name, instead.")
    ] = False,
    models_dir: ModelsFolder = None,
) -> None:
    def command(registry: "Registry") -> ExitStatus:
        from stemsplit.cli.models_list import list_available, list_models

        return (list_available if available else list_models)(registry, as_json=json)

    _run(command, models_dir)


@_command("info", help="Show what is known of a model; all of it with --json.")
def _show_model(model: Model, json: Json = False, models_dir: ModelsFolder = None) -> None:
    def command(registry: "Registry") -> ExitStatus:
        from stemsplit.cli.models_info import show_model

        return show_model(model, registry, as_json=json)

    _run(command, models_dir)


@_command("licence", help="Show a model's licence, and whether commercial use is allowed.")
def _show_licence(model: Model, json: Json = False, models_dir: ModelsFolder = None) -> None:
    def command(registry: "Registry") -> ExitStatus:
        from stemsplit.cli.models_list import show_licence

        return show_licence(model, registry, as_json=json)

    _run(command, models_dir)


@_command("add", help="Try a model and keep it under a name.")
def _add(  # noqa: PLR0917 - as they are typed
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="An .onnx file, or the .toml that describes one.")
    ],
    describe: Describe = None,
    name: Name = None,
    overwrite: Overwrite = False,
    json: Json = False,
    models_dir: ModelsFolder = None,
) -> None:
    def command(registry: "Registry") -> ExitStatus:
        from stemsplit.cli.models_manage import add

        return add(registry, file, describe=describe, name=name, overwrite=overwrite, as_json=json)

    _run(command, models_dir)


@_command(
    "pull", help="Fetch a model, or an archive, from an address, or one that a list names, and keep it."
)
def _pull(  # noqa: PLR0917 - as they are typed
    what: Annotated[
        str, typer.Argument(metavar="URL|NAME", help="Address of an .onnx file or an archive, or a name.")
    ],
    sha256: Annotated[
        str | None, typer.Option("--sha256", metavar="HEX", help="What the file must be, or it is refused.")
    ] = None,
    index: Annotated[
        str | None,
        typer.Option(
            "--index",
            metavar="TOML",
            help="The list. Default: models.toml among your settings and the catalogue.",
        ),
    ] = None,
    describe: Describe = None,
    name: Name = None,
    overwrite: Overwrite = False,
    allow_unpinned: Annotated[
        bool, typer.Option("--allow-unpinned", help="Accept a file without a known checksum.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no server; also by STEMSPLIT_OFFLINE=1.")
    ] = False,
    max_size: Annotated[
        float, typer.Option("--max-size", metavar="MB", help="Megabytes that a file may have.")
    ] = 2147.0,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="S", help="Seconds without an answer.")
    ] = 30.0,
    json: Json = False,
    models_dir: ModelsFolder = None,
) -> None:
    def command(registry: "Registry") -> ExitStatus:
        from pathlib import Path

        from stemsplit.cli.models_manage import pull
        from stemsplit.registry.download import DownloadLimits
        from stemsplit.registry.pull import Pull, is_offline

        paths = [Path(text) if text else None for text in (index, describe)]
        request = Pull(what, paths[0], sha256, paths[1], allow_unpinned)
        limits = DownloadLimits(max_size * 1e6, timeout, is_offline(offline))
        return pull(registry, request, name=name, overwrite=overwrite, limits=limits, as_json=json)

    _run(command, models_dir)


@_command("remove", help="Delete a registered model.")
def _remove(name: Registered, models_dir: ModelsFolder = None) -> None:
    def command(registry: "Registry") -> ExitStatus:
        from stemsplit.cli.models_manage import remove

        return remove(registry, name)

    _run(command, models_dir)


@_command("prune", help="Remove what unfinished downloads left.")
def _prune(models_dir: ModelsFolder = None) -> None:
    def command(registry: "Registry") -> ExitStatus:
        from stemsplit.cli.models_manage import prune

        return prune(registry)

    _run(command, models_dir)


@_command("verify", help="Compare the files of registered models with their hashes.")
def _verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Default: all.", autocompletion=complete_registered),
    ] = None,
    json: Json = False,
    models_dir: ModelsFolder = None,
) -> None:
    def command(registry: "Registry") -> ExitStatus:
        from stemsplit.cli.models_manage import verify

        return verify(registry, names or (), as_json=json)

    _run(command, models_dir)


@_command("new-description", help="Draft the description of .onnx files that have none.")
def _draft(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="An .onnx file, or all those of one model.")
    ],
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="TOML", help="A new file; - or none: standard output."),
    ] = None,
) -> None:
    def command() -> ExitStatus:
        from stemsplit.cli.models_manage import draft

        return draft(files, output=output)

    run_command(command)
