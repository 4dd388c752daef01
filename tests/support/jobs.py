"""Songs planned and separated as the command does it, without the command."""

from pathlib import Path
from typing import Any

from stemsplit.jobs.inputs import SongInput
from stemsplit.jobs.journal import Journal
from stemsplit.jobs.output_settings import OutputSettings
from stemsplit.jobs.plan import Job, plan_jobs
from stemsplit.jobs.provenance import Provenance
from stemsplit.jobs.result import FileResult
from stemsplit.jobs.worker import SongWorker
from stemsplit.separation.base_separator import BaseSeparator


def plan(
    separator: BaseSeparator, output: OutputSettings, *songs: Path, journal: Journal | None = None
) -> list[Job]:
    """Plan the jobs of songs."""
    sources = [SongInput(str(song), song) for song in songs]
    return plan_jobs(sources, Provenance.of(separator, output), output, journal)


def resume(separator: BaseSeparator, song: Path, out: Path, **changes: Any) -> FileResult:
    """Separate a song as the command does with --resume."""
    journal, output = Journal(out), OutputSettings(out, resume=True, **changes)
    (job,) = plan(separator, output, song, journal=journal)
    worker = SongWorker(separator, output, journal=journal)
    return worker.run(job, step=worker.write_files)
