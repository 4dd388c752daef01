"""The plan of a run: the output files of every song, and which songs need no work."""

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

from stemsplit.audio.encoding import extension_of
from stemsplit.audio.tags import read_tags
from stemsplit.errors import AudioError, OutputError, SettingsError
from stemsplit.files.names import clean_name, identity
from stemsplit.jobs.claims import Claims
from stemsplit.jobs.inputs import SongInput
from stemsplit.jobs.journal import Journal
from stemsplit.jobs.name_template import TAG_FIELDS
from stemsplit.jobs.output_settings import OutputSettings
from stemsplit.jobs.provenance import Origin, Provenance
from stemsplit.jobs.result import FileResult, Status


@dataclass(frozen=True)
class Job:
    """One song and its output files.

    `name` is the path of the song in the output folder: that of its stems without the name of the stem.
    Existing files are replaced only if they are in `replaceable`; those of the stems in `kept` stay as they
    are. If the song needs no work, `result` is set.
    """

    source: SongInput
    outputs: Mapping[str, Path]
    replaceable: frozenset[Path] = frozenset()
    kept: frozenset[str] = frozenset()
    result: FileResult | None = None
    name: str = ""

    @property
    def missing(self) -> dict[str, Path]:
        """The files that are to be written."""
        return {stem: path for stem, path in self.outputs.items() if stem not in self.kept}


def locate_outputs(job: Job, output: OutputSettings) -> dict[str, Any]:
    """Return the fields of a result that say where the stems are."""
    storage = output.storage
    if not storage.is_remote:
        return {"outputs": job.outputs}
    return {"urls": {stem: str(storage.locate(path)) for stem, path in job.outputs.items()}}


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
    checked = _check_names(jobs)
    return [job if job.result else decide(job, provenance, output, journal) for job in checked]


def check_working_folder() -> None:
    """Check that the working folder exists.

    Raises
    ------
    OutputError
        If it has been deleted, or may not be read.
    """
    try:
        Path.cwd()
    except OSError as error:
        raise OutputError("the working folder has been deleted; change to one that exists") from error


def check_output_dir(folder: Path) -> None:
    """Check, without writing, that `folder` is a folder or can become one.

    Raises
    ------
    OutputError
        If a file has its place or its name is too long.
    """
    try:
        for part in (folder, *folder.parents):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                if not stat.S_ISDIR(part.stat().st_mode):
                    raise OutputError(f"{part}: is a file, not a folder; choose another folder with --output")
    except OSError as error:
        raise OutputError(f"{folder}: cannot be a folder: {error.strerror}; choose another one") from error


def plan_stream(
    sources: Iterable[SongInput], provenance: Provenance, output: OutputSettings, journal: Journal | None
) -> Iterator[Job]:
    """Plan songs one by one, as `plan_jobs` does for a list, without holding them in memory.

    Songs whose output files belong to an earlier song, or would overwrite their own input, fail.

    Raises
    ------
    SettingsError
        If the stems of a song would be written to the same path: the name template is wrong for every song.
    """
    claims = Claims()
    for source in sources:
        job = _name_job(source, provenance, output)
        if len(set(job.outputs.values())) < len(job.outputs):
            _check_names([job])
        songs = {} if source.path is None else {_locate(source.path): source.label}
        checked = _claim_names(job, claims, songs)
        yield checked if checked.result else decide(checked, provenance, output, journal)


def _name_job(source: SongInput, provenance: Provenance, output: OutputSettings) -> Job:
    """Name the output files of one song."""
    if source.problem:
        return Job(source, {})
    values = _describe(source, output)
    folder = PurePath(*map(clean_name, source.mirror.parts))
    names = {
        stem: folder / output.template.render({**values, "stem": stem}) for stem in ("", *provenance.stems)
    }
    song = names.pop("").as_posix()
    return Job(source, {stem: output.output_dir / name for stem, name in names.items()}, name=song)


def _describe(source: SongInput, output: OutputSettings) -> dict[str, str]:
    """Return the value of every template field except the stem; tags are read only if they are needed."""
    path = source.path
    values = {
        "track": source.track,
        "file": source.file_name,
        "folder": source.folder_name,
        "ext": extension_of(output.format),
    }
    if not output.template.fields & TAG_FIELDS:
        return values
    # only regular files are opened, since opening a named pipe would block; the reader reports all others
    tags = read_tags(path) if path and os.path.isfile(path) else None  # noqa: PTH113 - no error if forbidden
    number = "" if tags is None else str(tags.track_number or "").split("/")[0].strip()
    return values | {
        "title": (tags and tags.title) or source.track,
        "artist": (tags and tags.artist) or "Unknown artist",
        "album": (tags and tags.album) or "Unknown album",
        "number": number.zfill(2),
    }


def _check_names(jobs: Sequence[Job]) -> list[Job]:
    """Fail the jobs whose output files collide with inputs or with those of other jobs."""
    songs = {_locate(job.source.path): job.source.label for job in jobs if job.source.path is not None}
    claims = Claims()
    checked = [_claim_names(job, claims, songs) for job in jobs]
    refused = [job.result for job in checked if job.result is not None]
    if refused and len(refused) == sum(bool(job.outputs) for job in jobs):
        raise SettingsError(refused[0].error)
    return checked


def _claim_names(job: Job, claims: Claims, songs: Mapping[str, str]) -> Job:
    outputs = [(path, f"the {stem} of {job.source.label}") for stem, path in job.outputs.items()]
    for path, stem in outputs:
        song = songs.get(_locate(path))
        if song is not None:
            reason = f"{stem} would be written over the input {song}; choose another folder with --output"
            return replace(job, result=failed_result(job.source, OutputError(reason)))
    collision = claims.claim(outputs)
    if collision is None:
        return job
    error = OutputError(
        f"{collision}; give --name a template that keeps them apart, with {{stem}} and {{track}}, "
        "{file} (the name with its extension) or {folder}"
    )
    return replace(job, result=failed_result(job.source, error))


def _locate(path: Path) -> str:
    """Return a string that is equal for two paths of the same file."""
    folder, name = os.path.split(path)
    if os.path.islink(path):  # noqa: PTH114 - Path.is_symlink raises in a closed folder
        return identity(Path(os.path.realpath(path)))
    return identity(Path(_find_real_folder(folder), name))


@lru_cache(maxsize=1024)
def _find_real_folder(folder: str) -> str:
    return os.path.realpath(folder)


def decide(job: Job, provenance: Provenance, output: OutputSettings, journal: Journal | None) -> Job:
    """Decide, by what the output folder holds now, which stems of a song are to be made, or why none is."""
    if job.source.problem:
        error = OutputError(job.source.problem)
        return replace(job, result=replace(failed_result(job.source, error), error_type="AudioError"))
    present = {stem: path for stem, path in job.outputs.items() if output.storage.exists(path)}
    if output.skip_existing:
        if len(present) == len(job.outputs):
            return replace(job, result=_skip(job, provenance, output, "all stems exist"))
        return replace(job, kept=frozenset(present))
    if output.resume and journal is not None and _is_done(job, provenance, journal):
        return replace(
            job, result=_skip(job, provenance, output, "done before, with the same settings and models")
        )
    replaceable = _find_replaceable(job, output, journal)
    kept = [path for path in present.values() if path not in replaceable]
    if kept:
        error = existing_file_error(kept[0], output)
        return replace(job, result=failed_result(job.source, error, **locate_outputs(job, output)))
    return replace(job, replaceable=replaceable)


def _find_replaceable(job: Job, output: OutputSettings, journal: Journal | None) -> frozenset[Path]:
    paths = job.outputs.values()
    if output.overwrite:
        return frozenset(paths)
    if output.resume and journal is not None:
        return frozenset(path for path in paths if journal.owns(job.name, path))
    return frozenset()


def existing_file_error(path: Path, output: OutputSettings) -> OutputError:
    """Return the error of a song whose output `path` exists and must not be replaced."""
    place = output.storage.locate(path)
    if output.resume:
        return OutputError(
            f"{place} is not, or no longer, as stemsplit wrote it; "
            "move it away, or replace it with --overwrite"
        )
    return OutputError(f"{place} exists; use --overwrite, --skip-existing or another folder with --output")


def _is_done(job: Job, provenance: Provenance, journal: Journal) -> bool:
    if job.source.is_stdin:
        return False
    try:
        return journal.is_done(job.name, job.outputs, Origin(provenance, job.source, job.outputs).made)
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
