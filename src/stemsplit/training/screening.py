"""Screening: real recordings heard by a model, before training believes what is said of them.

Backing with a voice in it leaves training, so does a recording that holds drums or bass although it should
not; stretches where drums or bass are silent become songs of their own. A model that was trained on the
backing as voiceless is deaf to voices there: screen with one that was not.
"""

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from stemsplit.errors import StemsplitError
from stemsplit.training import SAMPLE_RATE
from stemsplit.training.library import Library
from stemsplit.training.passages import Passage, VoiceReport, find_passages, share_heard
from stemsplit.training.recordings import recordings
from stemsplit.training.songs import Song, amend_song, load_songs, remove_song, save_song, targets_of
from stemsplit.training.take import Take
from stemsplit.training.traces import STEP, Separate, Trace, trace

# A recording is doubtful where a target that it should lack is heard for more of the time than this.
# Phrases of one instrument are believed: what a model takes wrongly there is what it has to learn.
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
    passages_s : float
        Seconds of passages found.
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


class Screening:
    """Screens the songs of a folder.

    Parameters
    ----------
    library : Library
        Where the recordings come from.
    songs_folder : Path
        Songs that were prepared; passages are added, kinds changed.
    traces_folder : Path
        Traces by this model; what is there is not heard again.
    separate : callable
        The model.
    voice_share : float
        Backing with a voice for more than this share of the time leaves training.
    """

    def __init__(
        self,
        library: Library,
        songs_folder: Path,
        traces_folder: Path,
        separate: Separate,
        *,
        voice_share: float,
    ) -> None:
        self._songs, self._traces, self._separate = songs_folder, traces_folder, separate
        self._voice_share = voice_share
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
        for song in songs:
            stem = _stem_to_hear(song) if song.path.stem in self._recordings else None
            if stem is not None:
                heard = self._trace(song, stem)
                verdict, passages = self._judge(song, stem, heard)
                wanted |= {save_passage(self._songs, song, stem, passage) for passage in passages}
                findings.append(self._finding(song, stem, heard, verdict, passages))
                progress(f"{song.path.stem}: {verdict}, {findings[-1].passages_s:.0f} s of passages")
        for path in self._songs.glob("passage-*.json"):
            if path.stem not in wanted:
                remove_song(path.with_suffix(".npy"))
        return findings

    def _check(self, song: Song) -> None:
        recording = self._recordings.get(song.path.stem)
        if recording and song.origin != recording.origin:
            raise StemsplitError(
                f"{song.path} is not known to be what the library lists under this name; "
                "run `python -m stemsplit.training prepare` again"
            )

    def _trace(self, song: Song, stem: str) -> Trace:
        path = self._traces / f"{song.path.stem}.npz"
        # a song that was stored anew may be another recording
        if not path.exists() or path.stat().st_mtime_ns < song.path.stat().st_mtime_ns:
            trace(song.read(stem, 0, song.n_samples), self._separate).save(path)
        return Trace.load(path)

    def _judge(self, song: Song, stem: str, heard: Trace) -> tuple[str, list[Passage]]:
        """The verdict on a recording, and its passages; its kind in training is set by it."""
        recording = self._recordings[song.path.stem]
        kind, held = recording.kind, targets_of(stem)
        is_believed = recording.parts[0][1].kind == "phrase"
        if kind == "multitrack":  # its other stems say what is in this one
            return _verdict(heard, held), []
        verdict = "kept"
        if kind == "backing" and VoiceReport.of(heard).share > self._voice_share:
            verdict = "voice"
        elif not is_believed and _verdict(heard, held) == "doubtful":
            verdict, held = "doubtful", MIXED
        # what is held out for validation stays as it is, so that figures can be compared
        amend_song(song, kind="screened" if verdict != "kept" and song.split == "train" else kind)
        return verdict, [] if verdict == "voice" else find_passages(heard, held)

    def _finding(
        self, song: Song, stem: str, heard: Trace, verdict: str, passages: Iterable[Passage]
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
            passages_s=sum(passage.stop - passage.start for passage in passages) / SAMPLE_RATE,
        )


def save_passage(folder: Path, song: Song, stem: str, passage: Passage) -> str:
    """Store a passage as a song of the split of its source, unless it is there; returns its name."""
    name = f"passage-{song.path.stem}-{passage.start // STEP:03}-{passage.stop // STEP:03}-{passage.stem}"
    take = Take(song.read(stem, passage.start, passage.stop - passage.start), song.ingredients.get(stem, ()))
    if not (folder / f"{name}.json").exists():
        save_song(folder, name, {passage.stem: take}, split=song.split, kind="passage", maker=song.maker)
    return name


def write_report(findings: Iterable[Finding], path: Path) -> None:
    """Write findings as CSV, the most voice first."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Finding)])
        writer.writeheader()
        rows = sorted(findings, key=lambda finding: -finding.vocals_share)
        writer.writerows(asdict(finding) for finding in rows)


def minutes_of_music(folder: Path) -> str:
    """Minutes of unseparated music, of passages and of what was screened out, by split, kind and stem."""
    minutes: dict[tuple[str, str, str], float] = defaultdict(float)
    for song in load_songs(folder):
        if song.kind in {"backing", "passage", "screened"}:
            minutes[song.split, song.kind, song.stems[0]] += song.n_samples / SAMPLE_RATE / 60
    return "\n".join(f"{' '.join(key)}: {value:.1f} min" for key, value in sorted(minutes.items()))


def _stem_to_hear(song: Song) -> str | None:
    """The stem of a song whose purity is only claimed."""
    return next((stem for stem in song.stems if "other" in targets_of(stem)), None)


def _verdict(heard: Trace, held: tuple[str, ...]) -> str:
    lacking = [target for target in ("drums", "bass") if target not in held]
    shares = [share_heard(heard, target) for target in lacking]
    return "doubtful" if np.max(shares, initial=0.0) > DOUBTFUL_SHARE else "kept"
