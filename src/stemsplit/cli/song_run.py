"""The songs of a separation: planned, separated here or on a cluster, and their results written."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from stemsplit.audio.read_settings import ReadSettings
from stemsplit.cli.console import Results, describe, reserving_stdout, summarise, warn
from stemsplit.cli.options.separation import SeparationOptions
from stemsplit.cli.progress import Display, make_display
from stemsplit.errors import SettingsError
from stemsplit.jobs.batch import run_jobs
from stemsplit.jobs.cancellation import Cancellation, catch_signals
from stemsplit.jobs.inputs import SongInput
from stemsplit.jobs.journal import Journal
from stemsplit.jobs.output_settings import OutputSettings
from stemsplit.jobs.plan import Job, plan_jobs, plan_stream
from stemsplit.jobs.provenance import Provenance
from stemsplit.jobs.request import SeparationRequest, open_separator
from stemsplit.jobs.result import ExitStatus, FileResult, Status, exit_status
from stemsplit.jobs.worker import SongWorker
from stemsplit.models.licence import check_commercial, note_licences
from stemsplit.separation.base_separator import BaseSeparator

_N_AHEAD = 32  # songs of which remote storage is asked at a time

# the songs in, their results out, with a display that is called and a cancellation that stops them
Runner = Callable[[Iterable[Job], Display, Cancellation], Iterator[FileResult]]


def separate_songs(
    options: SeparationOptions,
    request: SeparationRequest,
    output: OutputSettings,
    sources: Iterable[SongInput],
    separator: BaseSeparator,
) -> ExitStatus:
    """Separate songs in this process; a list of them is planned whole, others as they come.

    Raises
    ------
    SettingsError
        If the format cannot hold the stems.
    LicenceError
        If only models that allow commercial use are wanted, and one does not.
    OutputError
        If the journal cannot be read.
    """
    check_licences(separator, commercial_only=options.commercial_only, quiet=options.quiet)
    print_device(separator, request, quiet=options.quiet)
    worker = SongWorker(separator, output, request.reading)
    if options.writes_stdout:
        jobs: Iterable[Job] = _plan_stdout(list(sources), separator)
        return _run(options, request.reading, jobs, _make_runner(options, worker))
    journal = Journal(output.storage)
    provenance = Provenance.of(separator, output, request.reading)
    if isinstance(sources, list):
        jobs = plan_jobs(sources, provenance, output, journal)
    else:
        jobs = plan_stream(sources, provenance, output, journal, n_ahead=_count_ahead(options, output))
    return _run(options, request.reading, jobs, _make_runner(options, replace(worker, journal=journal)))


def _make_runner(options: SeparationOptions, worker: SongWorker) -> Runner:
    """Return the function that separates songs in this process."""

    def run(jobs: Iterable[Job], display: Display, cancellation: Cancellation) -> Iterator[FileResult]:
        running = replace(worker, listener=display, cancellation=cancellation, waits=False)
        files_step = running.write_stdout if options.writes_stdout else running.write_files
        step = running.inspect if options.dry_run else files_step
        work = partial(running.run, step=step)
        return run_jobs(jobs, work, cancellation=cancellation, n_jobs=options.jobs)

    return run


def separate_on_cluster(
    options: SeparationOptions,
    request: SeparationRequest,
    output: OutputSettings,
    sources: Iterable[SongInput],
) -> ExitStatus:
    """Separate songs on a Ray cluster; the driver opens the models on its CPU, for their metadata only."""
    from stemsplit.jobs.cluster import ClusterSettings, make_absolute, run_on_cluster

    assert options.cluster is not None
    settings = ClusterSettings(
        options.cluster, options.cpus_per_worker, options.gpus_per_worker, options.retries
    )
    request = make_absolute(request)
    with open_separator(replace(request, device="cpu", half=False, provider_options={})) as separator:
        check_licences(separator, commercial_only=options.commercial_only, quiet=options.quiet)
        output.check_stems(separator)
        provenance = Provenance.of(separator, output, request.reading)
    provenance = replace(provenance, settings={**provenance.settings, "half": request.half})

    def run(jobs: Iterable[Job], display: Display, cancellation: Cancellation) -> Iterator[FileResult]:
        return run_on_cluster(
            jobs,
            request,
            settings,
            root=output.output_dir,
            cancellation=cancellation,
            listener=display,
        )

    journal, n_ahead = Journal(output.storage), _count_ahead(options, output)
    jobs = plan_stream(sources, provenance, output, journal, n_ahead=n_ahead)
    with reserving_stdout():  # Ray reports workers that die there
        return _run(options, request.reading, jobs, run)


def _count_ahead(options: SeparationOptions, output: OutputSettings) -> int:
    """Return how many songs are looked up at a time; one from a pipe does not wait for the next."""
    is_slow = output.storage.is_remote and output.resume
    return _N_AHEAD if is_slow and "@-" not in options.inputs else 0


def check_licences(separator: BaseSeparator, *, commercial_only: bool, quiet: bool) -> None:
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


def print_device(separator: BaseSeparator, request: SeparationRequest, *, quiet: bool) -> None:
    """Print where the networks run, if that was left to the program; ``doctor`` has the reasons."""
    if request.device == "auto" and not quiet:
        warn(f"device: {separator.device}")


def _plan_stdout(sources: Sequence[SongInput], separator: BaseSeparator) -> list[Job]:
    if len(separator.stems) != 1:
        raise SettingsError(
            f"--output - writes one stem, but these were requested: {', '.join(separator.stems)}; "
            "choose one with --stems"
        )
    return [Job(source, {}) for source in sources]


def _run(options: SeparationOptions, reading: ReadSettings, jobs: Iterable[Job], run: Runner) -> ExitStatus:
    """Run the jobs, write their results, and return the exit code."""
    cancellation = Cancellation()
    results = Results(as_json=options.json)
    known_jobs = jobs if isinstance(jobs, Sequence) else None
    counts: Counter[Status] = Counter()
    failures: list[FileResult] = []
    with (
        make_display(known_jobs, quiet=options.quiet, reading=reading) as display,
        catch_signals(cancellation),
    ):
        for result in run(jobs, display, cancellation):
            counts[result.status] += 1
            if not options.writes_stdout:
                results.write(result)
            if result.status is Status.FAILED and known_jobs is not None:
                failures.append(result)
            elif result.status is Status.FAILED and options.quiet:
                warn(describe(result))
    n_songs = sum(counts.values()) if known_jobs is None else len(known_jobs)
    if not options.quiet and (n_songs != 1 or not counts):
        warn(summarise(counts, n_songs))
    for result in failures:
        warn(describe(result))
    if results.problem is not None:
        warn(f"stemsplit: {results.problem}")
    if cancellation.requested:
        return cancellation.status
    return exit_status(counts) if results.problem is None else ExitStatus.FAILED
