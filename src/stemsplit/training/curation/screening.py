"""Screening: real recordings heard by a model, before training believes what is said of them.

Backing with a voice in it leaves training, so does a recording that holds drums or bass although it should
not; stretches where drums or bass are silent become songs of their own, and so do the model's stems of
unseparated music where they may be used as pseudo-labels. A model that was trained on the backing as
voiceless misses voices there: screen with one that was not.
"""

import csv
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from stemsplit.errors import StemsplitError
from stemsplit.training import SAMPLE_RATE
from stemsplit.training.curation.activity import STEP, ActivityTrace, Separate, trace
from stemsplit.training.curation.passages import Passage, VoiceReport, find_passages, share_heard
from stemsplit.training.curation.pseudo_labels import find_confident, is_confident
from stemsplit.training.data.library import Library
from stemsplit.training.data.recordings import EXCERPTS, recordings
from stemsplit.training.data.rendered_stem import RenderedStem
from stemsplit.training.data.songs import (
    TrainingSong,
    amend_song,
    load_songs,
    remove_song,
    save_song,
    targets_of,
)

# A recording is doubtful where a target that it should lack is heard for more of the time than this.
# Phrases of one instrument are always used: what a model takes wrongly there is what it has to learn.
DOUBTFUL_SHARE = 0.5
MIXED = ("drums", "bass", "other")


@dataclass(frozen=True)
class Finding:
    """What was heard in one recording, a line of the report.

    Parameters
    ----------
    song, item : str
        Name of the song, and of the library's item.
    split, stem : str
        Its split, and the stem that was heard.
    vocals_db, vocals_share : float
        Estimate of vocals against the mixture, and share of half-seconds where it is above -12 dB.
    drums_share, bass_share : float
        Share of half-seconds where both witnesses hear them.
    verdict : str
        "kept", "voice", or "doubtful": drums or bass are heard that should not be there. Only the first stays
        in training.
    passages_s, separated_s : float
        Seconds of passages found, and of stems that may be used as pseudo-labels.
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


class Screening:
    """Screens the songs of a folder.

    Parameters
    ----------
    library : Library
        Where the recordings come from.
    songs_folder : Path
        Songs that were prepared; passages and separated stems are added, kinds changed.
    traces_folder : Path
        Traces by all models; what is there is not heard again.
    separate : callable
        The model.
    model : str
        Hash of its file.
    voice_share : float
        Backing with a voice for more than this share of the time leaves training.
    licence : str
        What may be done with stems that the model separates; empty if it is openly licensed and trained.
    """

    def __init__(
        self,
        library: Library,
        songs_folder: Path,
        traces_folder: Path,
        separate: Separate,
        *,
        model: str,
        voice_share: float,
        licence: str = "",
    ) -> None:
        self._songs, self._traces, self._separate = songs_folder, traces_folder / model[:12], separate
        self._model, self._voice_share, self._licence = model, voice_share, licence
        self._recordings = recordings(library)

    def run(self, progress: Callable[[str], None]) -> list[Finding]:
        """Hear every recording, then write passages and kinds; a second run changes nothing.

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
            stem = _stem_to_hear(song) if song.path.stem in self._recordings else None
            if stem is not None:
                heard = self._trace(song, stem)
                verdict, held = self._judge(song, stem, heard)
                passages = find_passages(heard, held)
                wanted |= {save_passage(self._songs, song, stem, passage) for passage in passages}
                sure = find_confident(heard, held) if song.split == "train" else []
                wanted |= self._save_separated(song, stem, held, sure, stored)
                seconds = _seconds(passages), _seconds(sure)
                findings.append(self._finding(song, stem, heard, verdict, seconds))
                told = f"{seconds[0]:.0f} s of passages, {seconds[1]:.0f} s of stems"
                progress(f"{song.path.stem}: {verdict}, {told}")
        for path in itertools.chain(*(self._songs.glob(f"{kind}-*.json") for kind in EXCERPTS)):
            if path.stem not in wanted:
                remove_song(path.with_suffix(".npy"))
        return findings

    def _check(self, song: TrainingSong) -> None:
        recording = self._recordings.get(song.path.stem)
        if recording and song.origin != recording.origin:
            raise StemsplitError(
                f"{song.path} is not known to be what the library lists under this name; "
                "run `python -m stemsplit.training prepare` again"
            )

    def _trace(self, song: TrainingSong, stem: str) -> ActivityTrace:
        path = self._traces / f"{song.path.stem}.npz"
        # a song that was stored anew may be another recording
        is_fresh = path.exists() and path.stat().st_mtime_ns >= song.path.stat().st_mtime_ns
        heard = ActivityTrace.load(path) if is_fresh else None
        if heard is None:
            heard = trace(song.read(stem, 0, song.n_samples), self._separate)
            heard.save(path)
        return heard

    def _judge(self, song: TrainingSong, stem: str, heard: ActivityTrace) -> tuple[str, tuple[str, ...]]:
        """The verdict on a recording, which sets its kind in training, and what its excerpts may hold."""
        recording = self._recordings[song.path.stem]
        kind, held = recording.kind, targets_of(stem)
        is_believed = recording.parts[0][1].kind == "phrase"
        if kind == "multitrack":  # its other stems say what is in this one
            return _verdict(heard, held), ()
        verdict = "kept"
        if kind == "backing" and VoiceReport.of(heard).share > self._voice_share:
            verdict = "voice"
        elif not is_believed and _verdict(heard, held) == "doubtful":
            verdict, held = "doubtful", MIXED
        # what is held out for validation stays as it is, so that figures can be compared
        amend_song(song, kind="screened" if verdict != "kept" and song.split == "train" else kind)
        return verdict, () if verdict == "voice" else held

    def _save_separated(
        self,
        song: TrainingSong,
        stem: str,
        held: tuple[str, ...],
        sure: Iterable[Passage],
        stored: Mapping[str, str],
    ) -> set[str]:
        """Store stems of a recording as songs, unless they are there by this model; returns their names."""
        named = {_excerpt_name("separated", song, each): each for each in sure}
        missing = {name: each for name, each in named.items() if stored.get(name) != self._model}
        estimates = self._separate(song.read(stem, 0, song.n_samples)) if missing else {}
        for name, each in missing.items():
            summed = sum(estimates[target] for target in is_confident(held)[each.stem])
            take = RenderedStem(np.asarray(summed)[:, each.start : each.stop], song.ingredients.get(stem, ()))
            save_song(
                self._songs,
                name,
                {each.stem: take},
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
        heard: ActivityTrace,
        verdict: str,
        seconds: tuple[float, float],
    ) -> Finding:
        voice, parts = VoiceReport.of(heard), self._recordings[song.path.stem].parts
        return Finding(
            song=song.path.stem,
            item=next(item.name for held, item in parts if held == stem),
            split=song.split,
            stem=stem,
            vocals_db=round(voice.level_db, 1),
            vocals_share=round(voice.share, 3),
            drums_share=round(share_heard(heard, "drums"), 3),
            bass_share=round(share_heard(heard, "bass"), 3),
            verdict=verdict,
            passages_s=seconds[0],
            separated_s=seconds[1],
        )


def save_passage(folder: Path, song: TrainingSong, stem: str, passage: Passage) -> str:
    """Store a passage as a song of the split of its source, unless it is there; returns its name."""
    name = _excerpt_name("passage", song, passage)
    take = RenderedStem(
        song.read(stem, passage.start, passage.stop - passage.start), song.ingredients.get(stem, ())
    )
    if not (folder / f"{name}.json").exists():
        save_song(folder, name, {passage.stem: take}, split=song.split, kind="passage", maker=song.maker)
    return name


def _excerpt_name(kind: str, song: TrainingSong, excerpt: Passage) -> str:
    return f"{kind}-{song.path.stem}-{excerpt.start // STEP:03}-{excerpt.stop // STEP:03}-{excerpt.stem}"


def _seconds(excerpts: Iterable[Passage]) -> float:
    return sum(excerpt.stop - excerpt.start for excerpt in excerpts) / SAMPLE_RATE


def write_report(findings: Iterable[Finding], path: Path) -> None:
    """Write findings as CSV, the most voice first."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Finding)])
        writer.writeheader()
        rows = sorted(findings, key=lambda finding: -finding.vocals_share)
        writer.writerows(asdict(finding) for finding in rows)


def minutes_of_music(folder: Path) -> str:
    """Minutes of unseparated music, its excerpts and what was screened out, by split, kind and stem."""
    minutes: dict[tuple[str, str, str], float] = defaultdict(float)
    for song in load_songs(folder):
        if song.kind in {"backing", "screened", *EXCERPTS}:
            minutes[song.split, song.kind, song.stems[0]] += song.n_samples / SAMPLE_RATE / 60
    return "\n".join(f"{' '.join(key)}: {value:.1f} min" for key, value in sorted(minutes.items()))


def _stem_to_hear(song: TrainingSong) -> str | None:
    """The stem of a song whose purity is only claimed."""
    return next((stem for stem in song.stems if "other" in targets_of(stem)), None)


def _verdict(heard: ActivityTrace, held: tuple[str, ...]) -> str:
    lacking = [target for target in ("drums", "bass") if target not in held]
    shares = [share_heard(heard, target) for target in lacking]
    return "doubtful" if np.max(shares, initial=0.0) > DOUBTFUL_SHARE else "kept"
