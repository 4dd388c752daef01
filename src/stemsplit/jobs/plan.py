"""The plan of a run: which song becomes which files, settled before any work begins."""

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
    """Where stems go and how they are stored.

    Parameters
    ----------
    output_dir
        The folder of all stems, and of the journal.
    template
        Names below it.
    format, bits
        See `stemsplit.audio.encoding.choose_encoding`.
    overwrite
        Replace files that exist.
    skip_existing
        Leave a song alone when all its files exist.
    resume
        Leave a song alone when the journal says that its files were made from the same song, with the same
        settings and models; replace files that stemsplit made otherwise and nobody has changed since.
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
    """What a separator will do to every song of the run, as results and the journal tell it."""

    stems: tuple[str, ...]
    device: str
    models: tuple[ModelReference, ...]
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, separator: Separator, delivery: OutputSettings) -> "Provenance":
        """Describe `separator`, writing as `delivery` says."""
        settings = asdict(separator.settings) | {"stems": list(separator.stems)}
        return cls(
            stems=separator.stems,
            device=separator.device,
            models=tuple(
                ModelReference(info.name, info.version, info.sha256, info.licence, info.commercial)
                for info in separator.models
            ),
            settings=settings | {"format": delivery.format, "bits": delivery.bits},
        )

    def key(self, path: Path, outputs: Mapping[str, Path]) -> str:
        """Return a hash of all that decides the bytes of `outputs`, save the device and its rounding.

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
    """One song and the files it becomes.

    `replaceable` are those of them that may take the place of a file. `settled` is the song's result when
    there is nothing left to do.
    """

    source: SongInput
    outputs: Mapping[str, Path]
    replaceable: frozenset[Path] = frozenset()
    settled: FileResult | None = None


def fail(source: SongInput, error: Exception, **known: Any) -> FileResult:
    """Return the result of a song that `error` stopped."""
    return FileResult(source.label, Status.FAILED, error=str(error), error_type=type(error).__name__, **known)


def plan_jobs(
    sources: Sequence[SongInput], provenance: Provenance, delivery: OutputSettings, journal: Journal | None
) -> list[Job]:
    """Name the files of every song and settle what needs no work.

    Raises
    ------
    SettingsError
        If every song has two stems that would be written to one file, or a stem that would be written over a
        song that is to be read. Where that is true of some songs only, they fail; so do those whose names
        an earlier song has.
    """
    jobs = [
        Job(source, {} if source.problem else name_outputs(source, provenance.stems, delivery))
        for source in sources
    ]
    checked = _check_names(jobs)
    return [job if job.settled else _settle(job, provenance, delivery, journal) for job in checked]


def name_outputs(source: SongInput, stems: Sequence[str], delivery: OutputSettings) -> dict[str, Path]:
    """Return the path of every stem of one song."""
    values = _describe(source, delivery)
    folder = delivery.output_dir.joinpath(*map(clean_name, source.mirror.parts))
    return {stem: folder / delivery.template.render({**values, "stem": stem}) for stem in stems}


def _describe(source: SongInput, delivery: OutputSettings) -> dict[str, str]:
    """Return the value of every template field but the stem; tags are read only if they are asked for."""
    path = source.path
    values = {
        "track": source.track,
        "file": path.name if path else source.track,
        "folder": path.absolute().parent.name if path else "",
        "ext": delivery.format,
    }
    if not delivery.template.fields & TAG_FIELDS:
        return values
    # what is no file is left to the reader, which says so; to open a named pipe would wait for its writer
    tags = read_tags(path) if path and os.path.isfile(path) else None  # noqa: PTH113 - no error if forbidden
    number = "" if tags is None else str(tags.track_number or "").split("/")[0].strip()
    return values | {
        "title": (tags and tags.title) or source.track,
        "artist": (tags and tags.artist) or "Unknown artist",
        "album": (tags and tags.album) or "Unknown album",
        "number": number.zfill(2),
    }


def _check_names(jobs: Sequence[Job]) -> list[Job]:
    """Settle the jobs that cannot have the names of their files."""
    songs = {_locate(job.source.path): job.source.label for job in jobs if job.source.path is not None}
    claims = Claims()
    checked = [_claim_names(job, claims, songs) for job in jobs]
    refused = [job.settled for job in checked if job.settled is not None]
    if refused and len(refused) == sum(bool(job.outputs) for job in jobs):
        raise SettingsError(refused[0].error)
    return checked


def _claim_names(job: Job, claims: Claims, songs: Mapping[str, str]) -> Job:
    outputs = [(path, f"the {stem} of {job.source.label}") for stem, path in job.outputs.items()]
    for path, stem in outputs:
        song = songs.get(_locate(path))
        if song is not None:
            reason = f"{stem} would be written over the input {song}; choose another folder with --output"
            return replace(job, settled=fail(job.source, OutputError(reason)))
    collision = claims.claim(outputs)
    if collision is None:
        return job
    error = OutputError(
        f"{collision}; give --name a template that keeps them apart, with {{stem}} and {{track}}, "
        "{file} (the name with its extension) or {folder}"
    )
    return replace(job, settled=fail(job.source, error))


def _locate(path: Path) -> str:
    """Return what tells whether two paths lead to one file."""
    return identity(Path(os.path.realpath(path)))


def _settle(job: Job, provenance: Provenance, delivery: OutputSettings, journal: Journal | None) -> Job:
    if job.source.problem:
        error = OutputError(job.source.problem)
        return replace(job, settled=replace(fail(job.source, error), error_type="AudioError"))
    present = [path for path in job.outputs.values() if os.path.lexists(path)]
    if delivery.skip_existing and len(present) == len(job.outputs):
        return replace(job, settled=_skip(job, provenance, "all outputs exist"))
    if delivery.resume and journal is not None and _is_done(job, provenance, journal):
        return replace(job, settled=_skip(job, provenance, "done before, with the same settings and models"))
    replaceable = _find_replaceable(job, delivery, journal)
    kept = [path for path in present if path not in replaceable]
    if kept:
        error = refuse(kept[0], delivery)
        return replace(job, settled=fail(job.source, error, outputs=job.outputs))
    return replace(job, replaceable=replaceable)


def _find_replaceable(job: Job, delivery: OutputSettings, journal: Journal | None) -> frozenset[Path]:
    paths = job.outputs.values()
    if delivery.overwrite:
        return frozenset(paths)
    if delivery.resume and journal is not None:
        return frozenset(path for path in paths if journal.owns(path))
    return frozenset()


def refuse(path: Path, delivery: OutputSettings) -> OutputError:
    """Return the error of a song that would replace a file which is to be kept."""
    if delivery.resume:
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
    except OSError:  # reading the song will say it better
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
