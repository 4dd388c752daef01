"""The evaluation of models on a data set: every song is separated and scored, several at a time.

The scores of a song are kept in ``songs/`` of the output folder, with a key of all that determines them. A
song that has them is not separated again.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from stemsplit.errors import StemsplitError
from stemsplit.evaluation.bss_eval import museval_version
from stemsplit.evaluation.reference_song import ReferenceSong, SongAudio
from stemsplit.evaluation.report import EvaluationReport, SongScores, make_label
from stemsplit.evaluation.song_scores import StemScore, score_stems
from stemsplit.files.atomic import explaining, write_json
from stemsplit.jobs.batch import run_jobs
from stemsplit.jobs.cancellation import Cancellation
from stemsplit.jobs.failure import wrap_bug
from stemsplit.jobs.journal import hash_values, identify_file
from stemsplit.separation.base_separator import BaseSeparator
from stemsplit.separation.recipe import RESIDUAL

SongFunction = Callable[["ScoredSong"], object]


@dataclass(frozen=True)
class ScoredSong:
    """A song of an evaluation, with its scores, or why it has none."""

    song: ReferenceSong
    scores: SongScores | None
    failure: str = ""
    is_kept: bool = False


@dataclass
class Evaluation:
    """One or several models on the songs of a data set.

    Parameters
    ----------
    separator : BaseSeparator
        The models; may be used by several songs at a time.
    folder : Path
        Where the scores are kept.
    duration_s : float, optional
        Only the middle of each song, of so many seconds; all of it if None.
    cancellation : Cancellation
        Stops the work when it is requested.
    """

    separator: BaseSeparator
    folder: Path
    duration_s: float | None = None
    cancellation: Cancellation = field(default_factory=Cancellation)

    def run(
        self, songs: Sequence[ReferenceSong], *, n_jobs: int = 1, on_song: SongFunction = lambda _: None
    ) -> EvaluationReport:
        """Score songs, and return the report; songs that fail are named in it.

        Parameters
        ----------
        songs
            The songs.
        n_jobs
            How many are scored at a time.
        on_song
            Called with each song when it is finished, in their order.

        Raises
        ------
        OutputError
            If the scores of a song cannot be written.
        """
        scored: list[SongScores] = []
        failed: dict[str, str] = {}
        for done in run_jobs(songs, self._score, cancellation=self.cancellation, n_jobs=n_jobs):
            on_song(done)
            if done.scores is None:
                failed[make_label(done.song.name, done.song.split)] = done.failure
            else:
                scored.append(done.scores)
        models = [
            {"name": info.name, "version": info.version, "sha256": info.sha256}
            for info in self.separator.models
        ]
        return EvaluationReport(models, self.settings, scored, failed)

    @property
    def settings(self) -> dict[str, Any]:
        """What determines the scores besides the songs and the models."""
        settings = self.separator.settings
        chosen = {name: getattr(settings, name) for name in ("wiener", "shifts", "transpositions")}
        if settings.before is not None:
            chosen["before"] = settings.before
        return chosen | {"duration_s": self.duration_s, "museval": museval_version()}

    def _score(self, song: ReferenceSong) -> ScoredSong:
        try:
            key = self._make_key(song)
            path = self.folder / "songs" / song.split / f"{song.name}.json"
            kept = _read_scores(path, key)
            if kept is not None:
                return ScoredSong(song, kept, is_kept=True)
            scores = SongScores(song.name, song.split, tuple(self._score_audio(song.read())))
        except (StemsplitError, OSError, MemoryError) as error:
            self.cancellation.check()
            return ScoredSong(song, None, failure=str(wrap_bug(error)))
        with explaining(path):
            write_json(path, {"key": key, **asdict(scores)})
        return ScoredSong(song, scores)

    def _score_audio(self, audio: SongAudio) -> list[StemScore]:
        if self.duration_s is not None:
            audio = audio.cut_middle(self.duration_s)
        stems = self.separator(
            audio.mixture, audio.sample_rate, progress=lambda *_: self.cancellation.check()
        )
        self.cancellation.check()
        estimates = {name: stem for name, stem in stems.items() if name != RESIDUAL}
        return score_stems(audio, estimates)

    def _make_key(self, song: ReferenceSong) -> str:
        """Return a hash of all that determines the scores of a song; none of a song that has a problem."""
        if song.problem:
            return ""
        return hash_values(
            {
                "models": [info.sha256 for info in self.separator.models],
                "settings": self.settings,
                "stems": list(song.stems),
                "files": [{"track": each.track, **identify_file(each.path)} for each in song.tracks],
            }
        )


def _read_scores(path: Path, key: str) -> SongScores | None:
    """Return the scores that are kept for a song, None if there are none under this key."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not key or found["key"] != key:
            return None
        stems = tuple(StemScore(**score) for score in found["stems"])
        return SongScores(found["song"], found["split"], stems)
    except (OSError, ValueError, KeyError, TypeError):
        return None
