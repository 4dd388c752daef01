"""The plan of a run: the output files of every song, and which songs need no work."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemsplit.errors import AudioError, OutputError, SettingsError
from stemsplit.jobs.ahead import map_ahead
from stemsplit.jobs.claims import Claims
from stemsplit.jobs.collisions import Inputs
from stemsplit.jobs.inputs import SongInput
from stemsplit.jobs.journal import Journal
from stemsplit.jobs.output_folder import Mark
from stemsplit.jobs.output_settings import OutputSettings
from stemsplit.jobs.provenance import Origin, Provenance
from stemsplit.jobs.result import FileResult, Status
from stemsplit.jobs.song_names import name_files

if TYPE_CHECKING:
    from stemsplit.music.analysis import SongAnalysis


@dataclass(frozen=True)
class Job:
    """One song and its output files: the stems in `outputs`, what else is written of it in `extras`.

    `name` is the path of the song in the output folder: that of its stems without the name of the stem.
    Existing files are replaced only if they are in `replaceable`; those of `kept` stay as they are. If the
    song needs no work, `result` is set.
    """

    source: SongInput
    outputs: Mapping[str, Path]
    replaceable: frozenset[Path] = frozenset()
    kept: frozenset[str] = frozenset()
    result: FileResult | None = None
    name: str = ""
    extras: Mapping[str, Path] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, Path]:
        """All output files."""
        return {**self.outputs, **self.extras}

    @property
    def missing(self) -> dict[str, Path]:
        """The stems that are to be written."""
        return {stem: path for stem, path in self.outputs.items() if stem not in self.kept}

    @property
    def missing_extras(self) -> dict[str, Path]:
        """What else is to be written."""
        return {name: path for name, path in self.extras.items() if name not in self.kept}


def locate_outputs(job: Job, output: OutputSettings) -> dict[str, Any]:
    """Return the fields of a result that say where the stems are, and what is written beside them."""
    storage = output.storage
    extras = {name: str(storage.locate(path)) for name, path in job.extras.items()}
    if not storage.is_remote:
        return {"outputs": job.outputs, "extras": extras}
    return {"urls": {stem: str(storage.locate(path)) for stem, path in job.outputs.items()}, "extras": extras}


def failed_result(source: SongInput, error: Exception, **known: Any) -> FileResult:
    """Return the result of a song that failed with `error`."""
    return FileResult(source.label, Status.FAILED, error=str(error), error_type=type(error).__name__, **known)


def plan_jobs(
    sources: Sequence[SongInput], provenance: Provenance, output: OutputSettings, journal: Journal | None
) -> list[Job]:
    """Name the output files of every song, and decide which songs need no work.

    Raises
    ------
    SettingsError
        If every song has two stems with the same path, or a stem that would overwrite an input. If this is
        so for some songs only, these songs fail, as do songs whose output files belong to an earlier song.
    """
    jobs = [_name_job(source, provenance, output) for source in sources]
    checked = _check_names(jobs, output)
    return [job if job.result else decide(job, provenance, output, journal) for job in checked]


def plan_stream(
    sources: Iterable[SongInput],
    provenance: Provenance,
    output: OutputSettings,
    journal: Journal | None,
    *,
    n_ahead: int = 0,
) -> Iterator[Job]:
    """Plan songs one by one, as `plan_jobs` does for a list, without holding them in memory.

    Songs whose output files belong to an earlier song, or would overwrite their own input, fail. `n_ahead`
    songs are looked up at the same time, which hides the latency of remote storage; they are drawn from
    `sources` before the first job is there.

    Raises
    ------
    SettingsError
        If the stems of a song would be written to the same path: the name template is wrong for every song.
    """
    named = _name_stream(sources, provenance, output)

    def look_up(job: Job) -> Job:
        return job if job.result else decide(job, provenance, output, journal)

    return map_ahead(look_up, named, n_ahead) if n_ahead else map(look_up, named)


def _name_stream(
    sources: Iterable[SongInput], provenance: Provenance, output: OutputSettings
) -> Iterator[Job]:
    claims = Claims()
    for source in sources:
        job = _name_job(source, provenance, output)
        if len(set(job.files.values())) < len(job.files):
            _check_names([job], output)
        yield _claim_names(job, output, claims, Inputs([source]))


def _name_job(source: SongInput, provenance: Provenance, output: OutputSettings) -> Job:
    """Name the output files of one song."""
    if source.problem:
        return Job(source, {})
    named = name_files(source, provenance.stems, output)
    return Job(source, named.outputs, name=named.name, extras=named.extras)


def name_analysed(job: Job, found: "SongAnalysis", output: OutputSettings) -> Job:
    """Return a job with the names that its files have now that the song is analysed.

    Raises
    ------
    OutputError
        If one exists and may not be replaced.
    """
    if not output.is_named_late:
        return job
    named = name_files(job.source, job.outputs, output, found)
    renamed = replace(job, outputs=named.outputs, extras=named.extras)
    if output.overwrite:
        return replace(renamed, replaceable=frozenset(renamed.files.values()))
    for path in renamed.files.values():
        if path not in job.replaceable and output.storage.exists(path):
            raise existing_file_error(path, output)
    return renamed


def _check_names(jobs: Sequence[Job], output: OutputSettings) -> list[Job]:
    """Fail the jobs whose output files collide with inputs or with those of other jobs."""
    claims, inputs = Claims(), Inputs([job.source for job in jobs])
    checked = [_claim_names(job, output, claims, inputs) for job in jobs]
    refused = [job.result for job in checked if job.result is not None]
    if refused and len(refused) == sum(bool(job.files) for job in jobs):
        raise SettingsError(refused[0].error)
    return checked


def _claim_names(job: Job, output: OutputSettings, claims: Claims, inputs: Inputs) -> Job:
    # an input that does not exist is not overwritten, and no stem in remote storage is an input
    local = {} if output.storage.is_remote else _find_marks(job, output)
    for name, path in job.files.items():
        song = inputs.find(path) if path in local else None
        if song is not None:
            reason = f"the {name} of {job.source.label} would be written over the input {song}"
            error = OutputError(f"{reason}; choose another folder with --output")
            return replace(job, result=failed_result(job.source, error))
    collision = claims.claim(job.source.label, job.files)
    if collision is None:
        return job
    error = OutputError(
        f"{collision}; give --name a template that keeps them apart, with {{stem}} and {{track}}, "
        "{file} (the name with its extension) or {folder}"
    )
    return replace(job, result=failed_result(job.source, error))


def _find_marks(job: Job, output: OutputSettings) -> Mapping[Path, Mark]:
    return output.storage.find_marks(job.files.values())


def decide(job: Job, provenance: Provenance, output: OutputSettings, journal: Journal | None) -> Job:
    """Decide, by what the output folder holds now, which stems of a song are to be made, or why none is."""
    if job.source.problem:
        error = OutputError(job.source.problem)
        return replace(job, result=replace(failed_result(job.source, error), error_type="AudioError"))
    if output.extras.need_analysis and output.resume and journal is not None:
        job = _find_names(job, journal)
    marks = _find_marks(job, output)
    present = {name: path for name, path in job.files.items() if path in marks}
    if output.skip_existing:
        if len(present) == len(job.files):
            return replace(job, result=_skip(job, provenance, output, "all files exist"))
        return replace(job, kept=frozenset(present))
    is_whole = len(present) == len(job.files)
    if output.resume and journal is not None and is_whole and _is_done(job, provenance, journal, marks):
        return replace(
            job, result=_skip(job, provenance, output, "done before, with the same settings and models")
        )
    replaceable = _find_replaceable(job, present, output, journal)
    kept = [path for path in present.values() if path not in replaceable]
    if kept:
        error = existing_file_error(kept[0], output)
        return replace(job, result=failed_result(job.source, error, **locate_outputs(job, output)))
    return replace(job, replaceable=replaceable)


def _find_names(job: Job, journal: Journal) -> Job:
    """Return a job with the files that it has by the journal, if it was done before."""
    names = journal.find_names(job.name)
    outputs = {stem: names.get(path) or path for stem, path in job.outputs.items()}
    found = {name: names.get(path, path) for name, path in job.extras.items()}
    return replace(
        job, outputs=outputs, extras={name: path for name, path in found.items() if path is not None}
    )


def _find_replaceable(
    job: Job, present: Mapping[str, Path], output: OutputSettings, journal: Journal | None
) -> frozenset[Path]:
    if output.overwrite:
        return frozenset(job.files.values())
    if output.resume and journal is not None and present:
        return journal.find_owned(job.name, present.values())
    return frozenset()


def existing_file_error(path: Path, output: OutputSettings, *, can_skip: bool = True) -> OutputError:
    """Return the error of a song whose output `path` exists and must not be replaced.

    `can_skip` says whether ``--skip-existing`` would help.
    """
    place = output.storage.locate(path)
    if output.resume:
        return OutputError(
            f"{place} is not, or no longer, as stemsplit wrote it; "
            "move it away, or replace it with --overwrite"
        )
    ways = "--overwrite, --skip-existing" if can_skip else "--overwrite"
    return OutputError(f"{place} exists; use {ways} or another folder with --output")


def _is_done(job: Job, provenance: Provenance, journal: Journal, marks: Mapping[Path, Mark]) -> bool:
    if job.source.is_stdin:
        return False
    try:
        made = Origin(provenance, job.source, job.outputs).made
        return journal.is_done(job.name, job.files, made, marks)
    except (OSError, AudioError):  # opening the song reports it in detail
        return False


def _skip(job: Job, provenance: Provenance, output: OutputSettings, note: str) -> FileResult:
    return FileResult(
        job.source.label,
        Status.SKIPPED,
        **locate_outputs(job, output),
        models=provenance.models,
        settings=provenance.settings,
        note=note,
    )
