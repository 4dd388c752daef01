"""Options that several commands have."""

from typing import Annotated

import typer

from stemsplit.cli.completion import complete_device, complete_models
from stemsplit.cli.options.panels import Panel
from stemsplit.separation.settings import MAX_THREADS

Songs = Annotated[
    list[str], typer.Argument(metavar="SONGS", help="Songs, folders or globs.", show_default=False)
]
Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="Include the subfolders of a folder.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Leave out songs that are done with the same settings and models.")
]
Jobs = Annotated[int, typer.Option("--jobs", "-j", metavar="N", min=1, help="Songs at a time.")]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="Name of a model, or a file (.onnx, .toml), instead of the bundled ones; repeatable.",
        autocompletion=complete_models,
        rich_help_panel=Panel.MODELS,
    ),
]
ModelsFolder = Annotated[
    str | None,
    typer.Option(
        "--models-dir",
        metavar="DIR",
        help="Folder of your models. Default: STEMSPLIT_MODELS, or the system's folder for data.",
        rich_help_panel=Panel.MODELS,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        "-d",
        metavar="DEVICE",
        help="auto, cpu, cuda, tensorrt, openvino, coreml, directml; cuda:1 is the second GPU.",
        autocompletion=complete_device,
        rich_help_panel=Panel.SPEED,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        min=1,
        max=MAX_THREADS,
        help="Threads of the network on the CPU. Default: one per core.",
        rich_help_panel=Panel.SPEED,
    ),
]
