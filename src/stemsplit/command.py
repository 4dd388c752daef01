"""The separation command: flags in, stems and an exit code out."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from stemsplit.audio import AudioInfo
from stemsplit.batch import run_jobs
from stemsplit.cancel import Cancellation, catch_signals
from stemsplit.catalog import resolve
from stemsplit.console import Results, describe, has_stdout, summarise, warn
from stemsplit.display import make_display
from stemsplit.encoding import choose_encoding
from stemsplit.errors import OutputError, SettingsError
from stemsplit.flags import Flags
from stemsplit.inputs import Source, expand_inputs
from stemsplit.journal import Journal
from stemsplit.licence import check_commercial, note_licences
from stemsplit.naming import NameTemplate
from stemsplit.plan import Delivery, Job, Provenance, plan_jobs
from stemsplit.registry import Registry
from stemsplit.result import ExitStatus, FileResult, Status, exit_status
from stemsplit.separator import Separator
from stemsplit.song import SongWorker


def separate(flags: Flags) -> ExitStatus:
    """Do what `flags` ask for.

    Raises
    ------
    SettingsError
        If they cannot be obeyed, whatever the songs are; nothing has been written.
    ModelError, DeviceError
        If the models cannot be opened.
    LicenceError
        If only models that allow commercial use are wanted, and one does not.
    OutputError
        If the journal cannot be read.
    """
    delivery = make_delivery(flags)
    sources = expand_inputs(
        flags.inputs,
        recursive=flags.recursive,
        output_dir=None if flags.writes_stdout else delivery.output_dir,
    )
    _check_pipes(flags, sources)
    with open_separator(flags) as separator:
        check_licences(flags, separator)
        tell_device(flags, separator)
        if flags.writes_stdout:
            return _run(flags, separator, delivery, _plan_stdout(sources, separator), None)
        journal = Journal(delivery.output_dir)
        jobs = plan_jobs(sources, Provenance.of(separator, delivery), delivery, journal)
        return _run(flags, separator, delivery, jobs, journal)


def make_delivery(flags: Flags) -> Delivery:
    """Return how the stems are to be written."""
    # what each format holds, so that what is refused here would be refused for every song
    plain_song = AudioInfo(48000, 2, None, "WAV", "PCM_16")
    try:
        choose_encoding(flags.format, flags.bits, plain_song)
    except OutputError as error:
        raise SettingsError(str(error)) from error
    return Delivery(
        Path(flags.output),
        NameTemplate(flags.name),
        flags.format,
        flags.bits,
        overwrite=flags.overwrite,
        skip_existing=flags.skip_existing,
        resume=flags.resume,
    )


def open_separator(flags: Flags) -> Separator:
    """Open the models that `flags` need."""
    registry = Registry(flags.models_dir)
    return Separator(
        flags.stem_names,
        residual=flags.residual,
        karaoke=flags.karaoke,
        wiener=flags.wiener,
        device=flags.device,
        models=[resolve(model, registry) for model in flags.model] if flags.model else None,
        threads=flags.threads,
        chunk_s=flags.chunk,
        overlap_s=flags.overlap,
        batch_size=flags.batch,
        ensemble=flags.ensemble,
        weights=flags.weights_by_stem,
        provider_options=flags.provider_options,
        half=flags.half,
        shifts=flags.shifts,
    )


def check_licences(flags: Flags, separator: Separator) -> None:
    """Refuse what is not allowed, or say it once; ``--quiet`` leaves it to the results and the journal.

    Raises
    ------
    LicenceError
        If only models that allow commercial use are wanted, and one does not.
    """
    if flags.commercial_only:
        check_commercial(separator.models)
    note = note_licences(separator.models)
    if note and not flags.quiet:
        warn(note)


def tell_device(flags: Flags, separator: Separator) -> None:
    """Say where the networks run and why, where that was left to the program."""
    if flags.device == "auto" and not flags.quiet:
        warn(f"device: {separator.device} ({separator.device_reason})")


def _check_pipes(flags: Flags, sources: Sequence[Source]) -> None:
    if any(source.is_stdin for source in sources) and sys.stdin.isatty():
        raise SettingsError("'-' reads a wav from a pipe, and standard input is a terminal")
    if not flags.writes_stdout:
        return
    if len(sources) != 1:
        raise SettingsError(f"--output - takes one song; {len(sources)} were named")
    if not has_stdout():
        raise SettingsError("--output - writes a wav into a pipe, and standard output is closed")
    if sys.stdout.isatty() and not flags.dry_run:
        raise SettingsError("--output - writes a wav into a pipe, and standard output is a terminal")


def _plan_stdout(sources: Sequence[Source], separator: Separator) -> list[Job]:
    if len(separator.stems) != 1:
        raise SettingsError(
            f"--output - carries one stem, and these were asked for: {', '.join(separator.stems)}; "
            "choose one with --stems"
        )
    return [Job(source, {}) for source in sources]


def _run(
    flags: Flags, separator: Separator, delivery: Delivery, jobs: Sequence[Job], journal: Journal | None
) -> ExitStatus:
    cancellation = Cancellation()
    results = Results(as_json=flags.json)
    finished: list[FileResult] = []
    with make_display(len(jobs), quiet=flags.quiet) as display, catch_signals(cancellation):
        worker = SongWorker(separator, delivery, journal, display, cancellation)
        step = worker.inspect if flags.dry_run else worker.write_files if journal else worker.write_stdout
        work = partial(worker.attempt, step=step)
        for result in run_jobs(jobs, work, cancellation=cancellation, n_jobs=flags.jobs):
            finished.append(result)
            if journal is not None:
                display.show(results, result)
    _tell(flags, finished, len(jobs))
    if results.problem is not None:
        warn(f"stemsplit: {results.problem}")
    if cancellation.requested:
        return cancellation.status
    return exit_status(finished) if results.problem is None else ExitStatus.FAILED


def _tell(flags: Flags, results: Sequence[FileResult], n_jobs: int) -> None:
    """Say on standard error what the run came to."""
    if not flags.quiet and (n_jobs > 1 or len(results) < n_jobs):
        warn(summarise(results, n_jobs))
    for result in results:
        if result.status is Status.FAILED:
            warn(describe(result))
