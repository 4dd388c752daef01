"""The separation command: options in, stems and an exit code out."""

import sys
from collections.abc import Sequence
from functools import partial

from stemsplit.cli.console import Results, describe, has_stdout, summarise, warn
from stemsplit.cli.models_fetch import fetch_missing
from stemsplit.cli.options import Options
from stemsplit.cli.progress import make_display
from stemsplit.errors import SettingsError
from stemsplit.jobs.batch import run_jobs
from stemsplit.jobs.cancellation import Cancellation, catch_signals
from stemsplit.jobs.inputs import SongInput, expand_inputs
from stemsplit.jobs.journal import Journal
from stemsplit.jobs.plan import Job, OutputSettings, Provenance, plan_jobs
from stemsplit.jobs.request import SeparationRequest, make_output_settings, open_separator
from stemsplit.jobs.result import ExitStatus, FileResult, Status, exit_status
from stemsplit.jobs.worker import SongWorker
from stemsplit.models.licence import check_commercial, note_licences
from stemsplit.registry.store import Registry
from stemsplit.separation.separator import Separator


def separate(options: Options) -> ExitStatus:
    """Separate the songs that `options` name.

    Raises
    ------
    SettingsError
        If the options are invalid for any song; nothing has been written.
    ModelError, DeviceError
        If the models cannot be opened.
    LicenceError
        If only models that allow commercial use are wanted, and one does not.
    OutputError
        If the journal cannot be read.
    """
    request = options.make_request()
    output = make_output_settings(request)
    sources = expand_inputs(
        options.inputs,
        recursive=options.recursive,
        output_dir=None if options.writes_stdout else output.output_dir,
    )
    _check_pipes(options, sources)
    fetch_missing(request.models, Registry(request.models_dir), yes=options.yes)
    with open_separator(request) as separator:
        check_licences(separator, commercial_only=options.commercial_only, quiet=options.quiet)
        print_device(separator, request, quiet=options.quiet)
        if options.writes_stdout:
            return _run(options, separator, output, _plan_stdout(sources, separator), None)
        journal = Journal(output.output_dir)
        jobs = plan_jobs(sources, Provenance.of(separator, output), output, journal)
        return _run(options, separator, output, jobs, journal)


def check_licences(separator: Separator, *, commercial_only: bool, quiet: bool) -> None:
    """Check the licences of the models, and print what they do not allow unless `quiet`.

    Raises
    ------
    LicenceError
        If only models that allow commercial use are wanted, and one does not.
    """
    if commercial_only:
        check_commercial(separator.models)
    note = note_licences(separator.models)
    if note and not quiet:
        warn(note)


def print_device(separator: Separator, request: SeparationRequest, *, quiet: bool) -> None:
    """Print where the networks run, if that was left to the program; ``doctor`` has the reasons."""
    if request.device == "auto" and not quiet:
        warn(f"device: {separator.device}")


def _check_pipes(options: Options, sources: Sequence[SongInput]) -> None:
    if any(source.is_stdin for source in sources) and sys.stdin.isatty():
        raise SettingsError("'-' reads a wav from a pipe, but standard input is a terminal")
    if not options.writes_stdout:
        return
    if len(sources) != 1:
        raise SettingsError(f"--output - takes one song, but {len(sources)} were named")
    if not has_stdout():
        raise SettingsError("--output - writes a wav into a pipe, but standard output is closed")
    if sys.stdout.isatty() and not options.dry_run:
        raise SettingsError("--output - writes a wav into a pipe, but standard output is a terminal")


def _plan_stdout(sources: Sequence[SongInput], separator: Separator) -> list[Job]:
    if len(separator.stems) != 1:
        raise SettingsError(
            f"--output - writes one stem, but these were requested: {', '.join(separator.stems)}; "
            "choose one with --stems"
        )
    return [Job(source, {}) for source in sources]


def _run(
    options: Options,
    separator: Separator,
    output: OutputSettings,
    jobs: Sequence[Job],
    journal: Journal | None,
) -> ExitStatus:
    cancellation = Cancellation()
    results = Results(as_json=options.json)
    finished: list[FileResult] = []
    with make_display(jobs, quiet=options.quiet) as display, catch_signals(cancellation):
        worker = SongWorker(separator, output, journal, display, cancellation)
        step = worker.inspect if options.dry_run else worker.write_files if journal else worker.write_stdout
        work = partial(worker.run, step=step)
        for result in run_jobs(jobs, work, cancellation=cancellation, n_jobs=options.jobs):
            finished.append(result)
            if journal is not None:
                results.write(result)
    _print_summary(options, finished, len(jobs))
    if results.problem is not None:
        warn(f"stemsplit: {results.problem}")
    if cancellation.requested:
        return cancellation.status
    return exit_status(finished) if results.problem is None else ExitStatus.FAILED


def _print_summary(options: Options, results: Sequence[FileResult], n_jobs: int) -> None:
    """Print the summary of the run and the failures on standard error."""
    if not options.quiet and (n_jobs > 1 or len(results) < n_jobs):
        warn(summarise(results, n_jobs))
    for result in results:
        if result.status is Status.FAILED:
            warn(describe(result))
