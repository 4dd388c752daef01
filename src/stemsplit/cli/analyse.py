"""The ``analyse`` command: tempo, beats, key, chords and loudness of songs."""

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stemsplit.cli.console import describe as describe_result
from stemsplit.cli.console import show, warn
from stemsplit.cli.exit import run_command
from stemsplit.cli.options.shared import (
    Device,
    Jobs,
    Models,
    ModelsFolder,
    Overwrite,
    Recursive,
    Resume,
    Songs,
    Threads,
)
from stemsplit.errors import SettingsError
from stemsplit.jobs.result import ExitStatus, FileResult, Status, exit_status

if TYPE_CHECKING:
    from stemsplit.jobs.inputs import SongInput
    from stemsplit.jobs.plan import Job
    from stemsplit.jobs.request import SeparationRequest
    from stemsplit.jobs.worker import SongWorker
    from stemsplit.separation.base_separator import BaseSeparator

EPILOG = (
    "The songs are separated for the analysis, but no stems are written. Anything that a song does not have, "
    "such as a beat, is reported as none."
)


def analyse(  # noqa: PLR0917 - as they are typed
    songs: Songs,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Write SONG/analysis.json and SONG/chords.lab below this folder.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    resume: Resume = False,
    recursive: Recursive = False,
    jobs: Jobs = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Write one line of JSON for each song.")] = False,
    device: Device = "auto",
    model: Models = None,
    models_dir: ModelsFolder = None,
    threads: Threads = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only results and failures.")] = False,
) -> None:
    """Find the tempo, beats, key, chords and loudness of songs, and where each stem sounds."""

    def command() -> ExitStatus:
        from stemsplit.jobs.extras import ExtraSettings
        from stemsplit.jobs.inputs import expand_inputs
        from stemsplit.jobs.request import SeparationRequest, open_separator

        if "-" in songs and sys.stdin.isatty():
            raise SettingsError("'-' reads a wav from a pipe, but standard input is a terminal")
        if resume and output is None:
            raise SettingsError("--resume leaves out what is done in a folder; name it with --output")
        if overwrite and output is None:
            raise SettingsError("--overwrite replaces files in a folder; name it with --output")
        if output == "-":
            raise SettingsError("analyse writes files to a folder; choose one with --output, or leave it out")
        request = SeparationRequest(
            device=device,
            models=tuple(model or ()),
            models_dir=models_dir,
            threads=threads,
            output_dir=output or ".",
            overwrite=overwrite,
            resume=resume,
            extras=ExtraSettings(analyse=True),
        )
        sources = expand_inputs(
            songs, recursive=recursive, output_dir=None if output is None else Path(output)
        )
        with open_separator(request) as separator:
            planned, worker = _plan(sources, separator, request, writes=output is not None)
            return _run(planned, worker, n_jobs=jobs, as_json=as_json, quiet=quiet)

    run_command(command)


def _plan(
    sources: "Sequence[SongInput]", separator: "BaseSeparator", request: "SeparationRequest", *, writes: bool
) -> "tuple[list[Job], SongWorker]":
    """Return a job for every song, and who does them."""
    from stemsplit.jobs.journal import Journal
    from stemsplit.jobs.output_folder import check_output_dir
    from stemsplit.jobs.plan import Job, plan_jobs
    from stemsplit.jobs.provenance import Provenance
    from stemsplit.jobs.request import make_output_settings
    from stemsplit.jobs.worker import SongWorker

    output = make_output_settings(request)
    if not writes:
        return [Job(source, {}) for source in sources], SongWorker(separator, output)
    if not output.storage.is_remote:
        check_output_dir(output.output_dir)
    journal = Journal(output.storage)
    provenance = replace(Provenance.of(separator, output), stems=())
    return plan_jobs(sources, provenance, output, journal), SongWorker(separator, output, journal=journal)


def _run(
    jobs: "Sequence[Job]", worker: "SongWorker", *, n_jobs: int, as_json: bool, quiet: bool
) -> ExitStatus:
    """Analyse one song after the other; one that fails stops no other."""
    from stemsplit.cli.progress import make_display
    from stemsplit.jobs.batch import run_jobs
    from stemsplit.jobs.cancellation import Cancellation, catch_signals

    cancellation = Cancellation()
    results: list[FileResult] = []
    with (
        closing(worker.output.storage),
        make_display(jobs, quiet=quiet) as display,
        catch_signals(cancellation),
    ):
        worker = replace(worker, listener=display, cancellation=cancellation, waits=False)
        work = partial(worker.run, step=worker.write_files)
        for result in run_jobs(jobs, work, cancellation=cancellation, n_jobs=n_jobs):
            results.append(replace(result, analysis=None))
            _show(result, as_json=as_json, quiet=quiet)
    for result in results:
        if result.status is Status.FAILED:
            warn(describe_result(result))
    if cancellation.requested:
        return cancellation.status
    return exit_status([result.status for result in results])


def _show(result: FileResult, *, as_json: bool, quiet: bool) -> None:
    """Write the result: JSON, the files that were written, or else what was found, in one line."""
    if result.analysis is None:
        return
    found = result.analysis.to_dict()
    line = f"{result.input}: {describe(found)}"
    if as_json:
        import json

        show(json.dumps({"input": result.input, **found}))
    elif not result.extras:
        show(line, encoding=sys.getfilesystemencoding())
    else:
        show(*result.extras.values(), encoding=sys.getfilesystemencoding())
        if not quiet:
            warn(line)


def describe(found: dict[str, Any]) -> str:
    """Return an analysis in one line.

    >>> describe({"bpm": 120.04, "key": "A minor", "camelot": "8A", "loudness_lufs": -9.2, "chords": []})
    '120.0 bpm, A minor (8A), -9.2 LUFS'
    >>> describe({"bpm": None, "key": None, "camelot": None, "loudness_lufs": None, "chords": []})
    'no beat, no key, silent'
    """
    tempo = "no beat" if found["bpm"] is None else f"{found['bpm']:.1f} bpm"
    key = "no key" if found["key"] is None else f"{found['key']} ({found['camelot']})"
    loudness = "silent" if found["loudness_lufs"] is None else f"{found['loudness_lufs']:.1f} LUFS"
    return f"{tempo}, {key}, {loudness}"
