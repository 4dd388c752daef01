"""Screening: measures real recordings by a model before they are used for training.

Backing with vocals is excluded from training, as are recordings with unexpected drums or bass. Stretches
without drums or bass become songs of their own, and so do the model's stems of unseparated music where they
may be used as pseudo-labels. A model that was trained on the same backing as free of vocals misses vocals
there; use one that was not.
"""

import csv
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np

from stemsplit.errors import StemsplitError
from stemsplit.training import SAMPLE_RATE
from stemsplit.training.curation.activity import STEP, Activity, Separate, measure_activity
from stemsplit.training.curation.passages import Passage, VoiceActivity, active_share, find_passages
from stemsplit.training.curation.pseudo_labels import estimates_by_target, find_pseudo_labels
from stemsplit.training.data.library import Library
from stemsplit.training.data.recordings import EXCERPTS, list_recordings
from stemsplit.training.data.rendered_stem import RenderedStem
from stemsplit.training.data.songs import (
    TrainingSong,
    amend_song,
    load_songs,
    remove_song,
    save_song,
    targets_of,
)
from stemsplit.types import FloatArray

# A recording is doubtful if a target that it should lack is active for a larger share of the time.
# Phrases of one instrument are always used: what a model misjudges there is what it has to learn.
DOUBTFUL_SHARE = 0.5
MIXED = ("drums", "bass", "other")


@dataclass(frozen=True)
class Finding:
    """Result for one recording, a row of the report.

    Parameters
    ----------
    song, item : str
        Names of the song and of the item of the library.
    split, stem : str
        Its split, and the stem that was checked.
    vocals_db, vocals_share : float
        Level of the estimated vocals relative to the mixture, and share of half-seconds above -12 dB.
    drums_share, bass_share : float
        Share of half-seconds in which both detectors report them.
    verdict : str
        "kept", "voice" (contains vocals) or "doubtful" (contains unexpected drums or bass). Only kept
        recordings stay in training.
    passages_s, separated_s : float
        Seconds of passages, and of stems that may be used as pseudo-labels.
    """

    song: str
    item: str
    split: str
    stem: str
    vocals_db: float
    vocals_share: float
    drums_share: float
    bass_share: float
    verdict: str
    passages_s: float
    separated_s: float


@dataclass(frozen=True)
class _Recording:
    """A song whose stem has to be verified, and its separation."""

    song: TrainingSong
    stem: str
    separate: Separate

    @property
    def waveform(self) -> FloatArray:
        return self.song.read(self.stem, 0, self.song.n_samples)

    @cached_property
    def estimates(self) -> Mapping[str, FloatArray]:
        return self.separate(self.waveform)


class Screening:
    """Screens the songs of a folder.

    Parameters
    ----------
    library : Library
        Source of the recordings.
    songs_folder : Path
        Prepared songs; passages and separated stems are added, and kinds are changed.
    activity_folder : Path
        Cache of measured activity, for all models.
    separate : callable
        Separates a waveform by the model.
    model : str
        Identifies how it separates, such as by the hash of the model file.
    voice_share : float
        Backing with vocals for more than this share of the time is excluded from training.
    licence : str
        Licence of stems that the model separates; empty if model and training data are openly licensed.
    """

    def __init__(
        self,
        library: Library,
        songs_folder: Path,
        activity_folder: Path,
        separate: Separate,
        *,
        model: str,
        voice_share: float,
        licence: str = "",
    ) -> None:
        self._songs, self._separate = songs_folder, separate
        self._activity_folder = activity_folder / model[:12]
        self._model, self._voice_share, self._licence = model, voice_share, licence
        self._recordings = list_recordings(library)

    def run(self, progress: Callable[[str], None]) -> list[Finding]:
        """Measure every recording, then write passages and kinds; a second run changes nothing.

        Raises
        ------
        StemsplitError
            A song is another recording than the library lists under its name.
        """
        findings, wanted, songs = [], set(), load_songs(self._songs)
        for song in songs:
            self._check(song)
        stored = {song.path.stem: song.model for song in songs}
        for song in songs:
            stem = _stem_to_check(song) if song.path.stem in self._recordings else None
            if stem is not None:
                recording = _Recording(song, stem, self._separate)
                activity = self._load_activity(recording)
                verdict, held = self._judge(song, stem, activity)
                passages = find_passages(activity, held)
                wanted |= {save_passage(self._songs, song, stem, passage) for passage in passages}
                pseudo_labels = find_pseudo_labels(activity, held) if song.split == "train" else []
                wanted |= self._save_separated(recording, held, pseudo_labels, stored)
                seconds = _seconds(passages), _seconds(pseudo_labels)
                findings.append(self._finding(song, stem, activity, verdict, seconds))
                summary = f"{seconds[0]:.0f} s of passages, {seconds[1]:.0f} s of stems"
                progress(f"{song.path.stem}: {verdict}, {summary}")
        for path in itertools.chain(*(self._songs.glob(f"{kind}-*.json") for kind in EXCERPTS)):
            if path.stem not in wanted:
                remove_song(path.with_suffix(".npy"))
        return findings

    def _check(self, song: TrainingSong) -> None:
        recording = self._recordings.get(song.path.stem)
        if recording and song.origin != recording.origin:
            raise StemsplitError(
                f"{song.path} may differ from the recording that the library lists under this name; "
                "run `python -m stemsplit.training prepare` again"
            )

    def _load_activity(self, recording: _Recording) -> Activity:
        song = recording.song
        path = self._activity_folder / f"{song.path.stem}.npz"
        activity = Activity.load(path) if song.is_older_than(path) else None
        if activity is None:
            activity = measure_activity(recording.waveform, recording.estimates)
            activity.save(path)
        return activity

    def _judge(self, song: TrainingSong, stem: str, activity: Activity) -> tuple[str, tuple[str, ...]]:
        """Return the verdict on a recording, which sets its kind, and the targets of its excerpts."""
        recording = self._recordings[song.path.stem]
        kind, held = recording.kind, targets_of(stem)
        is_phrase = recording.parts[0][1].kind == "phrase"
        if kind == "multitrack":  # the contents of its stems are known
            return _judge_stem(activity, held), ()
        verdict = "kept"
        if kind == "backing" and VoiceActivity.of(activity).share > self._voice_share:
            verdict = "voice"
        elif not is_phrase and _judge_stem(activity, held) == "doubtful":
            verdict, held = "doubtful", MIXED
        # validation songs stay as they are, so that scores stay comparable
        amend_song(song, kind="screened" if verdict != "kept" and song.split == "train" else kind)
        return verdict, () if verdict == "voice" else held

    def _save_separated(
        self,
        recording: _Recording,
        held: tuple[str, ...],
        pseudo_labels: Iterable[Passage],
        stored: Mapping[str, str],
    ) -> set[str]:
        """Store stems as songs unless this model stored them before, and return their names."""
        song, stem = recording.song, recording.stem
        named = {_excerpt_name("separated", song, each): each for each in pseudo_labels}
        missing = {name: each for name, each in named.items() if stored.get(name) != self._model}
        estimates = recording.estimates if missing else {}
        for name, each in missing.items():
            summed = sum(estimates[target] for target in estimates_by_target(held)[each.stem])
            rendered = RenderedStem(
                np.asarray(summed)[:, each.start : each.stop], song.ingredients.get(stem, ())
            )
            save_song(
                self._songs,
                name,
                {each.stem: rendered},
                split=song.split,
                kind="separated",
                maker=song.maker,
                model=self._model,
                licence=self._licence,
            )
        return set(named)

    def _finding(
        self,
        song: TrainingSong,
        stem: str,
        activity: Activity,
        verdict: str,
        seconds: tuple[float, float],
    ) -> Finding:
        voice, parts = VoiceActivity.of(activity), self._recordings[song.path.stem].parts
        return Finding(
            song=song.path.stem,
            item=next(item.name for held, item in parts if held == stem),
            split=song.split,
            stem=stem,
            vocals_db=round(voice.level_db, 1),
            vocals_share=round(voice.share, 3),
            drums_share=round(active_share(activity, "drums"), 3),
            bass_share=round(active_share(activity, "bass"), 3),
            verdict=verdict,
            passages_s=seconds[0],
            separated_s=seconds[1],
        )


def save_passage(folder: Path, song: TrainingSong, stem: str, passage: Passage) -> str:
    """Store a passage as a song in the split of its recording unless it exists, and return its name."""
    name = _excerpt_name("passage", song, passage)
    rendered = RenderedStem(
        song.read(stem, passage.start, passage.stop - passage.start), song.ingredients.get(stem, ())
    )
    if not (folder / f"{name}.json").exists():
        save_song(folder, name, {passage.stem: rendered}, split=song.split, kind="passage", maker=song.maker)
    return name


def _excerpt_name(kind: str, song: TrainingSong, excerpt: Passage) -> str:
    return f"{kind}-{song.path.stem}-{excerpt.start // STEP:03}-{excerpt.stop // STEP:03}-{excerpt.stem}"


def _seconds(excerpts: Iterable[Passage]) -> float:
    return sum(excerpt.stop - excerpt.start for excerpt in excerpts) / SAMPLE_RATE


def write_report(findings: Iterable[Finding], path: Path) -> None:
    """Write findings as CSV, sorted by the share of vocals."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Finding)])
        writer.writeheader()
        rows = sorted(findings, key=lambda finding: -finding.vocals_share)
        writer.writerows(asdict(finding) for finding in rows)


def minutes_of_music(folder: Path) -> str:
    """Return the minutes of unseparated music, excerpts and excluded recordings, by split, kind and stem."""
    minutes: dict[tuple[str, str, str], float] = defaultdict(float)
    for song in load_songs(folder):
        if song.kind in {"backing", "screened", *EXCERPTS}:
            minutes[song.split, song.kind, song.stems[0]] += song.n_samples / SAMPLE_RATE / 60
    return "\n".join(f"{' '.join(key)}: {value:.1f} min" for key, value in sorted(minutes.items()))


def _stem_to_check(song: TrainingSong) -> str | None:
    """Return the stem of a song whose content has to be verified."""
    return next((stem for stem in song.stems if "other" in targets_of(stem)), None)


def _judge_stem(activity: Activity, held: tuple[str, ...]) -> str:
    lacking = [target for target in ("drums", "bass") if target not in held]
    shares = [active_share(activity, target) for target in lacking]
    return "doubtful" if np.max(shares, initial=0.0) > DOUBTFUL_SHARE else "kept"
