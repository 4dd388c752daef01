"""``python -m benchmarks``: measure stemsplit on this machine."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.jobs import Bench
from benchmarks.machine import describe_machine, describe_models
from benchmarks.measurements import BENCHMARKS
from benchmarks.report import save, show

NAMES = (*BENCHMARKS, "all")


def _check_name(name: str) -> str:
    if name not in NAMES:
        raise typer.BadParameter(f"choose one of {', '.join(NAMES)}")
    return name


def main(
    name: Annotated[
        str, typer.Argument(metavar="|".join(NAMES), callback=_check_name, help="What to measure.")
    ],
    runs: Annotated[int, typer.Option(min=1, help="Counted runs of each command.")] = 5,
    json: Annotated[Path | None, typer.Option(help="Folder for the results as JSON.")] = None,
    work: Annotated[Path | None, typer.Option(help="Folder for songs and stems; 10 GB for memory.")] = None,
) -> None:
    """Measure whole processes of the installed command, and print the medians."""
    for each in BENCHMARKS if name == "all" else [name]:
        facts = {"machine": describe_machine(), "models": describe_models(), "runs": runs}
        with tempfile.TemporaryDirectory(dir=work) as folder:
            rows = BENCHMARKS[each](Bench(Path(folder), runs), _log)
        show(each, rows)
        if json is not None:
            _log(f"written: {save(each, rows, facts, json)}")


def _log(text: str) -> None:
    typer.echo(text, err=True)


if __name__ == "__main__":
    typer.run(main)
