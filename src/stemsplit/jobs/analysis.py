"""The analysis of a file: it is separated, and its stems are analysed as they appear."""

from contextlib import closing
from pathlib import Path

import numpy as np

from stemsplit.audio.reader import open_audio
from stemsplit.errors import OutputError, SettingsError
from stemsplit.files.atomic import explaining, whole_file, write_json
from stemsplit.jobs.cancellation import Cancellation
from stemsplit.music.analysis import Analyser, SongAnalysis
from stemsplit.music.chords import format_lab
from stemsplit.separation.separator import Progress, Separator


def analyse_file(
    separator: Separator,
    path: Path | str,
    *,
    progress: Progress | None = None,
    cancellation: Cancellation | None = None,
) -> SongAnalysis:
    """Analyse one song, in bounded memory; nothing is written.

    Parameters
    ----------
    separator
        One whose stems sum to the mixture: all of its models' stems, or any with `residual`.
    path
        The song.
    progress
        Called with the number of samples finished so far, and with that of all samples, None if unknown.
    cancellation
        Stops the work when it is requested.

    Raises
    ------
    AudioError
        If the song cannot be read.
    SettingsError
        If the stems do not sum to the mixture.
    Cancelled
        If the work was stopped.
    """
    settings = separator.settings
    if settings.stems is not None and not settings.residual:
        raise SettingsError("an analysis needs stems that sum to the song; leave stems out or add residual")
    cancellation = cancellation or Cancellation()
    with open_audio(Path(path)) as reader:
        info = reader.info
        analyser = Analyser(sample_rate=info.sample_rate, n_channels=info.n_channels)
        stream = separator.stream(reader.blocks(), sample_rate=info.sample_rate, n_channels=info.n_channels)
        n_finished = 0
        with closing(stream):
            for stems in stream:
                cancellation.check()
                mixture = np.sum(np.stack(list(stems.values())), axis=0)
                analyser.process(mixture, stems)
                n_finished += mixture.shape[-1]
                if progress is not None:
                    progress(n_finished, info.n_samples)
    return analyser.finish()


def write_analysis(found: SongAnalysis, folder: Path, *, overwrite: bool = False) -> list[Path]:
    """Write ``analysis.json`` and ``chords.lab`` into `folder`; return their paths.

    Raises
    ------
    OutputError
        If a file exists and may not be replaced, or cannot be written.
    """
    analysis, chords = folder / "analysis.json", folder / "chords.lab"
    for path in (analysis, chords):
        if path.exists() and not overwrite:
            raise OutputError(f"{path}: exists; replace it with --overwrite, or choose another folder")
    with explaining(analysis):
        write_json(analysis, found.to_dict())
    with explaining(chords), whole_file(chords) as file:
        file.write(format_lab(found.chords).encode())
    return [analysis, chords]
