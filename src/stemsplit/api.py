"""Separation in one call, for programs that separate one song."""

from pathlib import Path
from typing import Any, overload

from stemsplit.errors import SettingsError
from stemsplit.jobs.batch import separate_file
from stemsplit.jobs.result import FileResult
from stemsplit.separation.separator import Progress, Separator
from stemsplit.types import FloatArray

_FILE_SETTINGS = ("output_dir", "name", "format", "bits", "overwrite")


@overload
def separate(
    source: FloatArray, sample_rate: int, *, progress: Progress | None = None, **settings: Any
) -> dict[str, FloatArray]: ...
@overload
def separate(
    source: Path | str,
    *,
    output_dir: Path | str = ...,
    name: str = ...,
    format: str = ...,
    bits: str | None = ...,
    overwrite: bool = ...,
    progress: Progress | None = None,
    **settings: Any,
) -> FileResult: ...
def separate(
    source: FloatArray | Path | str,
    sample_rate: int | None = None,
    *,
    progress: Progress | None = None,
    **settings: Any,
) -> dict[str, FloatArray] | FileResult:
    """Separate one song, array to arrays or file to files, with the settings of `Separator`.

    Parameters
    ----------
    source
        A waveform ``(channels, samples)``, which needs `sample_rate` in Hz, or the path of a file.
    output_dir
        Where the files go, for a path; ``separated`` in the working folder if it is left out.
    name, format, bits, overwrite
        For a path, as of `stemsplit.separate_file`: an existing file is an error unless `overwrite` is true.
    progress
        Called with the number of samples finished so far.

    Raises
    ------
    StemsplitError
        As of `Separator` and `stemsplit.separate_file`.
    """
    file_settings = {key: settings.pop(key) for key in _FILE_SETTINGS if key in settings}
    if isinstance(source, Path | str):
        if sample_rate is not None:
            raise SettingsError(f"{source}: a file tells its sample rate; leave sample_rate out")
        with Separator(**settings) as separator:
            return separate_file(
                separator, source, **{"output_dir": "separated", **file_settings}, progress=progress
            )
    if file_settings:
        raise SettingsError(f"a waveform becomes no files; leave {', '.join(file_settings)} out")
    if sample_rate is None:
        raise SettingsError("a waveform needs its sample_rate")
    with Separator(**settings) as separator:
        return separator(source, sample_rate, progress=progress)
