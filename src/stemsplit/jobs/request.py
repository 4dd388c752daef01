"""The request: which stems are to be made, from which models, and how they are written.

The command line and the service both make a `SeparationRequest`; the packages below do not depend on either.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stemsplit.audio.encoding import choose_encoding
from stemsplit.audio.info import AudioInfo
from stemsplit.audio.read_settings import ReadSettings
from stemsplit.errors import OutputError, SettingsError
from stemsplit.jobs.extras import ExtraSettings
from stemsplit.jobs.name_template import DEFAULT_TEMPLATE, NameTemplate
from stemsplit.jobs.output_folder import LocalFolder, OutputFolder
from stemsplit.jobs.output_settings import OutputSettings
from stemsplit.jobs.remote import RemoteFolder, is_url
from stemsplit.registry.installed import resolve
from stemsplit.registry.store import Registry
from stemsplit.separation.base_separator import BaseSeparator
from stemsplit.separation.keywords import SeparatorKeywords
from stemsplit.separation.separator import Separator


@dataclass(frozen=True)
class SeparationRequest:
    """The settings of a run.

    Parameters
    ----------
    stems
        Names of the stems; None for all that the models offer.
    residual, karaoke, wiener, half, int8, shifts, transpositions, drums, before, ensemble, weights
        As the arguments of `stemsplit.Separator`.
    chunk_s, overlap_s
        In seconds; None for the values of the model.
    batch_size
        Chunks in one run of a network; None for the default of the device.
    models
        Names or files of models; empty for the bundled ones.
    route
        Models or presets, of which each song gets the one with the surest masks; empty for `models`.
    styles
        Models or presets for kinds of music.
    presets
        File of the presets of `route` and `styles`; None for the one in the user's settings folder.
    models_dir
        Folder of the installed models; None for the default.
    device, provider_options, threads
        As the arguments of `stemsplit.Separator`.
    output_dir, name_template, format, bits, bitrate_kbps, overwrite, skip_existing, resume, extras
        As the fields of `stemsplit.jobs.plan.OutputSettings`.
    reading
        Which part of the songs is read, which track, and whether damaged ones are salvaged.
    """

    stems: tuple[str, ...] | None = None
    residual: bool = False
    karaoke: str | None = None
    wiener: int = 0
    models: tuple[str, ...] = ()
    route: tuple[str, ...] = ()
    styles: Mapping[str, str] = field(default_factory=dict)
    presets: str | None = None
    models_dir: str | None = None
    ensemble: bool = False
    weights: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    device: str = "auto"
    provider_options: Mapping[str, str] = field(default_factory=dict)
    half: bool = False
    int8: bool = False
    threads: int | None = None
    chunk_s: float | None = None
    overlap_s: float | None = None
    batch_size: int | None = None
    shifts: int = 1
    transpositions: int = 1
    drums: str = "stem"
    before: str | None = None
    output_dir: str = "separated"
    name_template: str = DEFAULT_TEMPLATE
    format: str = "wav"
    bits: str | None = None
    bitrate_kbps: int | None = None
    overwrite: bool = False
    skip_existing: bool = False
    resume: bool = False
    extras: ExtraSettings = field(default_factory=ExtraSettings)
    reading: ReadSettings = field(default_factory=ReadSettings)


def parse_stems(text: str, option: str = "--stems") -> tuple[str, ...]:
    """Return the names in a comma-separated list, each once; `option` is named in the error.

    Raises
    ------
    SettingsError
        If a name is empty.

    Examples
    --------
    >>> parse_stems("vocals, drums,vocals")
    ('vocals', 'drums')
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if "" in names:
        raise SettingsError(f"{option} {text!r} has an empty name; write them like vocals,drums")
    return names


def make_output_settings(request: SeparationRequest) -> OutputSettings:
    """Return the output settings of a request.

    Raises
    ------
    SettingsError
        If no song could be written with them: the format is unknown, or does not have the bits.
    """
    # every format can store this song, so what is invalid for it is invalid for every song
    plain_song = AudioInfo(48000, 2, None, "WAV", "PCM_16", sound_start_s=0.0)
    try:
        choose_encoding(request.format.lower(), request.bits, plain_song, request.bitrate_kbps)
    except OutputError as error:
        raise SettingsError(str(error)) from error
    output = OutputSettings(
        open_output_folder(request.output_dir),
        NameTemplate(request.name_template),
        request.format.lower(),
        request.bits,
        request.bitrate_kbps,
        overwrite=request.overwrite,
        skip_existing=request.skip_existing,
        resume=request.resume,
        extras=request.extras,
    )
    output.check_reading(request.reading)
    return output


def open_output_folder(text: str) -> OutputFolder:
    """Return the output folder at a path, or at an address such as ``s3://bucket/stems``.

    Raises
    ------
    SettingsError
        If the storage cannot be used.
    """
    return RemoteFolder(text) if is_url(text) else LocalFolder(Path(text))


def open_separator(request: SeparationRequest) -> BaseSeparator:
    """Open the separator of a request.

    Raises
    ------
    SettingsError, ModelError, DeviceError
        As `stemsplit.Separator`.
    """
    registry = Registry(request.models_dir)
    keywords = SeparatorKeywords(
        stems=request.stems,
        residual=request.residual,
        karaoke=request.karaoke,
        wiener=request.wiener,
        device=request.device,
        models=[resolve(model, registry) for model in request.models] or None,
        threads=request.threads,
        chunk_s=request.chunk_s,
        overlap_s=request.overlap_s,
        batch_size=request.batch_size,
        ensemble=request.ensemble,
        weights=request.weights,
        provider_options=request.provider_options,
        half=request.half,
        int8=request.int8,
        shifts=request.shifts,
        transpositions=request.transpositions,
        drums=request.drums,
        before=request.before,
    )
    if not (request.route or request.styles):
        return Separator(**keywords)
    from stemsplit.separation.routing import open_routed

    presets = None if request.presets is None else Path(request.presets)
    return open_routed(keywords, request.route, request.styles, presets=presets, registry=registry)
