"""The separation command: options in, stems and an exit code out."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import islice

from stemsplit.cli.console import Results, describe, has_stdout, reserving_stdout, summarise, warn
from stemsplit.cli.models_fetch import fetch_missing
from stemsplit.cli.options.separation import SeparationOptions
from stemsplit.cli.progress import Display, make_display
from stemsplit.errors import SettingsError
from stemsplit.jobs.batch import run_jobs
from stemsplit.jobs.cancellation import Cancellation, catch_signals
from stemsplit.jobs.imports import import_ahead
from stemsplit.jobs.inputs import SongInput, expand_inputs
from stemsplit.jobs.journal import Journal
from stemsplit.jobs.manifest import check_manifests, is_manifest, iterate_inputs
from stemsplit.jobs.output_folder import check_output_dir, check_working_folder
from stemsplit.jobs.output_settings import OutputSettings
from stemsplit.jobs.plan import Job, plan_jobs, plan_stream
from stemsplit.jobs.provenance import Provenance
from stemsplit.jobs.request import SeparationRequest, make_output_settings, open_separator
from stemsplit.jobs.result import ExitStatus, FileResult, Status, exit_status
from stemsplit.jobs.shard import Shard
from stemsplit.jobs.worker import SongWorker
from stemsplit.models.licence import check_commercial, note_licences
from stemsplit.registry.store import Registry
from stemsplit.separation.separator import Separator

_N_AHEAD = 32  # songs of which remote storage is asked at a time


def separate(options: SeparationOptions) -> ExitStatus:
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
    check_working_folder()
    request = options.make_request()
    output = make_output_settings(request)
    if not options.writes_stdout and not output.storage.is_remote:
        check_output_dir(output.output_dir)
    shard = Shard.parse(options.shard)
    with closing(output.storage):
        sources, is_stream = _list_sources(options, output, shard)
        fetch_missing(request.models, Registry(request.models_dir), yes=options.yes)
        if options.cluster is not None:
            return _separate_on_cluster(options, request, output, sources)
        with _open_separator(request) as separator:
            check_licences(separator, commercial_only=options.commercial_only, quiet=options.quiet)
            print_device(separator, request, quiet=options.quiet)
            worker = SongWorker(separator, output, request.reading)
            if options.writes_stdout:
                jobs: Iterable[Job] = _plan_stdout(list(sources), separator)
                return _run(options, jobs, _make_runner(options, worker))
            journal = Journal(output.storage)
            provenance = Provenance.of(separator, output, request.reading)
            if is_stream:
                n_ahead = _count_ahead(options, output)
                jobs = plan_stream(sources, provenance, output, journal, n_ahead=n_ahead)
            else:
                jobs = plan_jobs(list(sources), provenance, output, journal)
            return _run(options, jobs, _make_runner(options, replace(worker, journal=journal)))


def _open_separator(request: SeparationRequest) -> Separator:
    """Open the separator in a thread, and import meanwhile what the first song needs."""
    with ThreadPoolExecutor(1) as opening:
        separator = opening.submit(open_separator, request)
        import_ahead()
    return separator.result()


# the songs in, their results out, with a display that is called and a cancellation that stops them
Runner = Callable[[Iterable[Job], Display, Cancellation], Iterator[FileResult]]


def _make_runner(options: SeparationOptions, worker: SongWorker) -> Runner:
    """Return the function that separates songs in this process."""

    def run(jobs: Iterable[Job], display: Display, cancellation: Cancellation) -> Iterator[FileResult]:
        running = replace(worker, listener=display, cancellation=cancellation, waits=False)
        files_step = running.write_stdout if options.writes_stdout else running.write_files
        step = running.inspect if options.dry_run else files_step
        work = partial(running.run, step=step)
        return run_jobs(jobs, work, cancellation=cancellation, n_jobs=options.jobs)

    return run


def _separate_on_cluster(
    options: SeparationOptions,
    request: SeparationRequest,
    output: OutputSettings,
    sources: Iterable[SongInput],
) -> ExitStatus:
    """Separate songs on a Ray cluster; the driver opens the models on its CPU, for their metadata only."""
    from stemsplit.jobs.cluster import ClusterSettings, run_on_cluster

    assert options.cluster is not None
    settings = ClusterSettings(
        options.cluster, options.cpus_per_worker, options.gpus_per_worker, options.retries
    )
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
        return _run(options, jobs, run)


def _count_ahead(options: SeparationOptions, output: OutputSettings) -> int:
    """Return how many songs are looked up at a time; one from a pipe does not wait for the next."""
    is_slow = output.storage.is_remote and output.resume
    return _N_AHEAD if is_slow and "@-" not in options.inputs else 0


def _list_sources(
    options: SeparationOptions, output: OutputSettings, shard: Shard
) -> tuple[Iterable[SongInput], bool]:
    """Return the songs of this shard, and whether they come from a manifest, one by one."""
    output_dir = None if options.writes_stdout else output.output_dir
    if any(map(is_manifest, options.inputs)):
        check_manifests(options.inputs)
        songs = iterate_inputs(options.inputs, recursive=options.recursive, output_dir=output_dir)
        if not options.writes_stdout:
            return filter(shard.contains, songs), True
        # one song more than allowed is enough to reject the others
        sources = list(islice(filter(shard.contains, songs), 2))
    else:
        found = expand_inputs(options.inputs, recursive=options.recursive, output_dir=output_dir)
        sources = list(filter(shard.contains, found))
    _check_pipes(options, sources)
    return sources, False


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


def _check_pipes(options: SeparationOptions, sources: Sequence[SongInput]) -> None:
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


def _run(options: SeparationOptions, jobs: Iterable[Job], run: Runner) -> ExitStatus:
    """Run the jobs, write their results, and return the exit code."""
    cancellation = Cancellation()
    results = Results(as_json=options.json)
    known_jobs = jobs if isinstance(jobs, Sequence) else None
    counts: Counter[Status] = Counter()
    failures: list[FileResult] = []
    with make_display(known_jobs, quiet=options.quiet) as display, catch_signals(cancellation):
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
