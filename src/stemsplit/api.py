"""Separation in one call, for programs that separate one song."""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack, overload

import numpy as np

from stemsplit.audio.read_settings import ReadSettings
from stemsplit.audio.reader import open_audio
from stemsplit.dsp.blocks import AudioArray
from stemsplit.errors import SettingsError
from stemsplit.jobs.batch import separate_file
from stemsplit.jobs.name_template import DEFAULT_TEMPLATE
from stemsplit.jobs.result import FileResult
from stemsplit.separation.base_separator import Progress
from stemsplit.separation.keywords import SEPARATOR_KEYWORDS, SeparatorKeywords, check_keywords
from stemsplit.separation.presets import read_preset
from stemsplit.separation.separator import Separator
from stemsplit.separation.stems import Stems
from stemsplit.types import FloatArray


@overload
def separate(
    source: AudioArray,
    sample_rate: int,
    *,
    preset: str | None = None,
    progress: Progress | None = None,
    **settings: Unpack[SeparatorKeywords],
) -> Stems: ...
@overload
def separate(
    source: Path | str,
    *,
    output_dir: None = None,
    start_s: float | None = None,
    end_s: float | None = None,
    duration_s: float | None = None,
    track: int | None = None,
    salvage: bool = False,
    preset: str | None = None,
    progress: Progress | None = None,
    **settings: Unpack[SeparatorKeywords],
) -> Stems: ...
@overload
def separate(
    source: Path | str,
    *,
    output_dir: Path | str,
    name: str | None = None,
    format: str | None = None,
    bits: str | None = None,
    overwrite: bool = False,
    start_s: float | None = None,
    end_s: float | None = None,
    duration_s: float | None = None,
    track: int | None = None,
    salvage: bool = False,
    preset: str | None = None,
    progress: Progress | None = None,
    **settings: Unpack[SeparatorKeywords],
) -> FileResult: ...
def separate(
    source: AudioArray | Path | str,
    sample_rate: int | None = None,
    *,
    output_dir: Path | str | None = None,
    name: str | None = None,
    format: str | None = None,
    bits: str | None = None,
    overwrite: bool = False,
    start_s: float | None = None,
    end_s: float | None = None,
    duration_s: float | None = None,
    track: int | None = None,
    salvage: bool = False,
    preset: str | None = None,
    progress: Progress | None = None,
    **settings: Unpack[SeparatorKeywords],
) -> Stems | FileResult:
    """Separate one song into arrays or files.

    Parameters
    ----------
    source
        The path of a file; or a waveform ``(channels, samples)``, floating point with full scale at 1, or
        int16, int32 or uint8, which are scaled by the range of their type.
    sample_rate
        Of a waveform, in Hz. A file has its own.
    output_dir
        For a file: the folder of the stems, which are then written instead of returned.
    name, format, bits, overwrite
        With `output_dir`, as of `stemsplit.separate_file`.
    start_s, end_s, duration_s, track, salvage
        For a file, as of `stemsplit.separate_file`: an excerpt in seconds, an audio track, a damaged song.
    preset
        ``fast``, ``best``, or a preset of your own; the other arguments override it.
    progress
        Called with the number of samples finished so far, and with that of all samples, None if the file does
        not say.
    settings
        As of `stemsplit.Separator`: stems, residual, karaoke, wiener, device, models, threads, chunk_s,
        overlap_s, batch_size, ensemble, weights, provider_options, half, int8, shifts, transpositions, drums,
        before.

    Returns
    -------
    Stems
        The stems by name, float32 ``(channels, samples)``, with their `sample_rate` and, of a file that had
        to be mended or salvaged, its `notes`.
    FileResult
        With `output_dir`: the paths of the stems, and what became of the song.

    Raises
    ------
    SettingsError
        If an argument is unknown, out of its range, or contradicts another.
    StemsplitError
        As of `Separator` and `stemsplit.separate_file`.

    Examples
    --------
    >>> stems = separate("song.mp3", stems=["vocals", "drums"])  # doctest: +SKIP
    >>> chorus = separate("song.mp3", start_s=61.5, duration_s=20)  # doctest: +SKIP
    >>> result = separate("song.mp3", output_dir="stems", karaoke="vocals")  # doctest: +SKIP
    """
    check_keywords(settings, _KEYWORDS)
    written = {"name": name, "format": format, "bits": bits, "overwrite": overwrite or None}
    read = {
        "start_s": start_s,
        "end_s": end_s,
        "duration_s": duration_s,
        "track": track,
        "salvage": salvage or None,
    }
    _check(source, sample_rate, {**written, "output_dir": output_dir}, read)
    reading = ReadSettings.choose(
        start_s=start_s or 0.0, end_s=end_s, duration_s=duration_s, track=track, salvage=salvage
    )
    with _open(preset, settings) as separator:
        if not isinstance(source, Path | str):
            assert sample_rate is not None
            return separator(source, sample_rate, progress=progress)
        if output_dir is None:
            return _separate_to_arrays(separator, Path(source), reading, progress)
        chosen = None if preset is None else read_preset(preset)
        if chosen is not None and format is None and bits is None:
            format, bits = chosen.format, chosen.bits
        return separate_file(
            separator,
            source,
            output_dir,
            name=DEFAULT_TEMPLATE if name is None else name,
            format=format or "wav",
            bits=bits,
            overwrite=overwrite,
            start_s=reading.start_s,
            end_s=reading.end_s,
            track=track,
            salvage=salvage,
            progress=progress,
        )


_SIGNATURE = inspect.signature(separate)
_KEYWORDS = (*(name for name in _SIGNATURE.parameters if name != "settings"), *SEPARATOR_KEYWORDS)


def _with_keywords(signature: inspect.Signature) -> inspect.Signature:
    """Return `signature` with the keywords of a separator in the place of ``**settings``, for ``help``."""
    own = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
    taken = inspect.signature(Separator).parameters
    return signature.replace(
        parameters=[*own, *(taken[name].replace(kind=own[-1].kind) for name in SEPARATOR_KEYWORDS)]
    )


separate.__signature__ = _with_keywords(_SIGNATURE)  # type: ignore[attr-defined]


def _check(
    source: object, sample_rate: int | None, written: Mapping[str, object], read: Mapping[str, object]
) -> None:
    """Refuse arguments for writing or reading files that do not fit the source."""
    given = [name for name, value in written.items() if value is not None]
    if isinstance(source, Path | str):
        if sample_rate is not None:
            raise SettingsError(f"{source}: a file has its own sample rate; leave sample_rate out")
        if given and "output_dir" not in given:
            raise SettingsError(f"{', '.join(given)} is for files; give output_dir as well")
        return
    if given:
        raise SettingsError(f"a waveform is not written to files; leave {', '.join(given)} out")
    if of_reading := [name for name, value in read.items() if value is not None]:
        raise SettingsError(f"a waveform is not read from a file; leave {', '.join(of_reading)} out")
    if sample_rate is None:
        raise SettingsError("a waveform needs its sample_rate")


def _open(preset: str | None, settings: SeparatorKeywords) -> Separator:
    return Separator(**settings) if preset is None else Separator.from_preset(preset, **settings)


def _separate_to_arrays(
    separator: Separator, path: Path, reading: ReadSettings, progress: Progress | None
) -> Stems:
    """Read a file and return its stems; in memory there are the stems, and never the mixture as a whole."""
    pieces: dict[str, list[FloatArray]] = {name: [] for name in separator.stems}
    n_done = 0
    with open_audio(path, settings=reading) as reader:
        info = reader.info
        blocks = reader.blocks()
        for stems in separator.stream(blocks, sample_rate=info.sample_rate, n_channels=info.n_channels):
            for name, samples in stems.items():
                pieces[name].append(samples)
            n_done += next(iter(stems.values())).shape[-1]
            if progress is not None:
                progress(n_done, info.n_samples)
        notes = reader.notes
    joined: dict[str, Any] = {name: _join(pieces.pop(name)) for name in separator.stems}
    return Stems(joined, info.sample_rate, notes=notes)


def _join(pieces: Sequence[FloatArray]) -> FloatArray:
    return np.concatenate(pieces, axis=-1)
