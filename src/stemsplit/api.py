"""Separation in one call, for programs that separate one song."""

from pathlib import Path
from typing import Any, overload

from stemsplit.batch import separate_file
from stemsplit.errors import SettingsError
from stemsplit.result import FileResult
from stemsplit.separator import Progress, Separator
from stemsplit.types import FloatArray


@overload
def separate(
    source: FloatArray, sample_rate: int, *, progress: Progress | None = None, **settings: Any
) -> dict[str, FloatArray]: ...
@overload
def separate(
    source: Path | str, *, output_dir: Path | str = ..., progress: Progress | None = None, **settings: Any
) -> FileResult: ...
def separate(
    source: FloatArray | Path | str,
    sample_rate: int | None = None,
    *,
    output_dir: Path | str = "separated",
    progress: Progress | None = None,
    **settings: Any,
) -> dict[str, FloatArray] | FileResult:
    """Separate one song, array to arrays or file to files, with the settings of `Separator`.

    Parameters
    ----------
    source
        A waveform ``(channels, samples)``, which needs `sample_rate` in Hz, or the path of a file.
    output_dir
        Where the files go, for a path.
    progress
        Called with the number of samples finished so far.
    """
    with Separator(**settings) as separator:
        if isinstance(source, Path | str):
            return separate_file(separator, source, output_dir, progress=progress)
        if sample_rate is None:
            raise SettingsError("a waveform needs its sample_rate")
        return separator(source, sample_rate, progress=progress)
