"""The plan of a run: the output files of every song, and which songs need no work."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from stemsplit.audio.tags import read_tags
from stemsplit.errors import OutputError, SettingsError
from stemsplit.files.names import clean_name, identity
from stemsplit.jobs.inputs import SongInput
from stemsplit.jobs.journal import Journal, hash_values, identify_file
from stemsplit.jobs.name_template import TAG_FIELDS, Claims, NameTemplate
from stemsplit.jobs.result import FileResult, ModelReference, Status
from stemsplit.separation.separator import Separator

# names of settings in the keys of journals; they stay, so that the stems of earlier versions are recognised
_KEY_NAMES = {"ensemble": "blend"}


@dataclass(frozen=True)
class OutputSettings:
    """Where stems are written, and how.

    Parameters
    ----------
    output_dir
        The folder of all stems, and of the journal.
    template
        The file names below it.
    format, bits
        As in `stemsplit.audio.encoding.choose_encoding`.
    overwrite
        Replace files that exist.
    skip_existing
        Leave files alone that exist, and make only the stems that are missing.
    resume
        Skip a song if, by the journal, its files were made from the same song with the same settings and
        models; replace other files that stemsplit wrote and that have not been changed since.
    """

    output_dir: Path
    template: NameTemplate = field(default_factory=NameTemplate)
    format: str = "wav"
    bits: str | None = None
    overwrite: bool = False
    skip_existing: bool = False
    resume: bool = False


@dataclass(frozen=True)
class Provenance:
    """How the stems of a run are made, as it is recorded in results and in the journal."""

    stems: tuple[str, ...]
    device: str
    models: tuple[ModelReference, ...]
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, separator: Separator, output: OutputSettings) -> "Provenance":
        """Return the provenance of the stems of `separator`, written with the settings `output`."""
        settings = asdict(separator.settings) | {"stems": list(separator.stems)}
        return cls(
            stems=separator.stems,
            device=separator.device,
            models=tuple(
                ModelReference(info.name, info.version, info.sha256, info.licence, info.commercial)
                for info in separator.models
            ),
            settings=settings | {"format": output.format, "bits": output.bits},
        )

    def key(self, path: Path, outputs: Mapping[str, Path]) -> str:
        """Return a hash of everything that determines the content of `outputs`, except the device.

        Raises
        ------
        OSError
            If the song cannot be read.
        """
        return hash_values(
            {
                "models": [model.sha256 for model in self.models],
                # the stems are listed below; their order does not change them
                "settings": {
                    _KEY_NAMES.get(name, name): value
                    for name, value in self.settings.items()
                    if name != "stems"
                },
                "song": identify_file(path),
                "stems": sorted(outputs),
            }
        )


@dataclass(frozen=True)
class Job:
    """One song and its output files.

    Existing files are replaced only if they are in `replaceable`; those of the stems in `kept` stay as they
    are. If the song needs no work, `result` is set.
    """

    source: SongInput
    outputs: Mapping[str, Path]
    replaceable: frozenset[Path] = frozenset()
    kept: frozenset[str] = frozenset()
    result: FileResult | None = None

    @property
    def missing(self) -> dict[str, Path]:
        """The files that are to be written."""
        return {stem: path for stem, path in self.outputs.items() if stem not in self.kept}


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
    jobs = [
        Job(source, {} if source.problem else name_outputs(source, provenance.stems, output))
        for source in sources
    ]
    checked = _check_names(jobs)
    return [job if job.result else _decide(job, provenance, output, journal) for job in checked]


def name_outputs(source: SongInput, stems: Sequence[str], output: OutputSettings) -> dict[str, Path]:
    """Return the path of every stem of one song."""
    values = _describe(source, output)
    folder = output.output_dir.joinpath(*map(clean_name, source.mirror.parts))
    return {stem: folder / output.template.render({**values, "stem": stem}) for stem in stems}


def _describe(source: SongInput, output: OutputSettings) -> dict[str, str]:
    """Return the value of every template field except the stem; tags are read only if they are needed."""
    path = source.path
    values = {
        "track": source.track,
        "file": path.name if path else source.track,
        "folder": path.absolute().parent.name if path else "",
        "ext": output.format,
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
    return identity(Path(os.path.realpath(path)))


def _decide(job: Job, provenance: Provenance, output: OutputSettings, journal: Journal | None) -> Job:
    if job.source.problem:
        error = OutputError(job.source.problem)
        return replace(job, result=replace(failed_result(job.source, error), error_type="AudioError"))
    present = {stem: path for stem, path in job.outputs.items() if os.path.lexists(path)}
    if output.skip_existing:
        if len(present) == len(job.outputs):
            return replace(job, result=_skip(job, provenance, "all stems exist"))
        return replace(job, kept=frozenset(present))
    if output.resume and journal is not None and _is_done(job, provenance, journal):
        return replace(job, result=_skip(job, provenance, "done before, with the same settings and models"))
    replaceable = _find_replaceable(job, output, journal)
    kept = [path for path in present.values() if path not in replaceable]
    if kept:
        error = existing_file_error(kept[0], output)
        return replace(job, result=failed_result(job.source, error, outputs=job.outputs))
    return replace(job, replaceable=replaceable)


def _find_replaceable(job: Job, output: OutputSettings, journal: Journal | None) -> frozenset[Path]:
    paths = job.outputs.values()
    if output.overwrite:
        return frozenset(paths)
    if output.resume and journal is not None:
        return frozenset(path for path in paths if journal.owns(path))
    return frozenset()


def existing_file_error(path: Path, output: OutputSettings) -> OutputError:
    """Return the error of a song whose output `path` exists and must not be replaced."""
    if output.resume:
        return OutputError(
            f"{path} is not, or no longer, as stemsplit wrote it; "
            "move it away, or replace it with --overwrite"
        )
    return OutputError(f"{path} exists; use --overwrite, --skip-existing or another folder with --output")


def _is_done(job: Job, provenance: Provenance, journal: Journal) -> bool:
    if job.source.path is None:
        return False
    try:
        key = provenance.key(job.source.path, job.outputs)
    except OSError:  # opening the song reports it in detail
        return False
    return journal.is_done(key, job.outputs)


def _skip(job: Job, provenance: Provenance, note: str) -> FileResult:
    return FileResult(
        job.source.label,
        Status.SKIPPED,
        outputs=job.outputs,
        models=provenance.models,
        settings=provenance.settings,
        note=note,
    )
