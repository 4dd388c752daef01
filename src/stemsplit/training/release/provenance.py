"""What a model was made of: the parts of its card that name data, licences and credits."""

from collections import defaultdict
from collections.abc import Collection, Sequence

from stemsplit.errors import StemsplitError
from stemsplit.training import SAMPLE_RATE
from stemsplit.training.data.library import Item, Library
from stemsplit.training.data.songs import LIBRARY_SOURCE, TrainingSong

# Beside the audio of the index: patterns, and sounds that fluidsynth played.
PATTERNS = (
    ("music-x-lab/POP909-Dataset", "MIT", "Ziyu Wang et al., POP909 (ISMIR 2020)", "MIDI"),
    ("Groove MIDI Dataset", "CC-BY-4.0", "Jon Gillick et al., Google Magenta", "MIDI"),
    ("freedoom/freedoom", "BSD-3-Clause", "Freedoom contributors", "MIDI"),
    ("tannerhelland/free-music", "CC-BY-4.0", "Tanner Helland", "MIDI"),
    ("FluidR3 GM soundfont", "MIT", "Frank Wen and contributors", "sounds"),
)
CREDITS = """\
SCOTTPOID (voicebank by Scott, nonclione.neocities.org/utau) and Hitsuboku Kumi (by Cubialpha,
cubialpha.wixsite.com/koomstar) are used by their terms with this credit; both were cut into phrases,
shortened and re-encoded. All recordings were trimmed, in places mixed to stereo from microphone channels,
and re-encoded."""


def data_section(
    library: Library | None, heard: Collection[tuple[str, str]], songs: Sequence[TrainingSong]
) -> str:
    """Sources, licences and credits of the library, if it was heard, and of everything else.

    Parameters
    ----------
    library : Library, optional
        The library.
    heard : collection of (str, str)
        What the weights have heard and its terms, see `checkpoint.heard_by`.
    songs : sequence of TrainingSong
        What of it is there to be counted.

    Raises
    ------
    StemsplitError
        The library was heard, and is not given.
    """
    parts = []
    if LIBRARY_SOURCE in heard:
        if library is None:
            raise StemsplitError("songs of the library were trained on: name it with --library")
        parts.append(_library(library))
    if others := sorted(set(heard) - {LIBRARY_SOURCE}):
        parts.append(_others(others, songs))
    return "\n\n".join(["## Data", *parts])


def made_section(songs: Sequence[TrainingSong]) -> str:
    """What the songs are made of, so that an ablation can be read against how much there was."""
    minutes: dict[tuple[str, str], float] = defaultdict(float)
    for song in songs:
        for stem in song.stems:
            for name in song.ingredients.get(stem, ()) or (_plain(song),):
                minutes[(name, stem)] += _minutes(song)
    rows = [f"| {name} | {stem} | {value:.0f} |" for (name, stem), value in sorted(minutes.items())]
    listed = "\n".join(rows)
    return f"""Stems for training, by what they are made of; a stem with several ingredients counts for each.

| ingredient | stem | minutes |
|---|---|---|
{listed}"""


def _library(library: Library) -> str:
    grouped: dict[tuple[str, str, str], list[Item]] = defaultdict(list)
    for item in library.select(split="train"):
        grouped[(item.source, item.licence, item.attribution)].append(item)
    rows = [
        f"| {' | '.join(key)} | {', '.join(sorted({i.category for i in each}))} | "
        f"{sum(i.duration_s for i in each) / 60:.1f} |"
        for key, each in sorted(grouped.items())
    ]
    rows += [f"| {' | '.join(pattern)} | |" for pattern in PATTERNS]
    listed = "\n".join(rows)
    return f"""Everything in the library allows commercial use, editing and redistribution. Share-alike
material (the PJS singer) is used for validation only, like everything that
`stemsplit.training.data.library.is_held_out` names.

| source | licence | attribution | used for | minutes |
|---|---|---|---|---|
{listed}

Credits required by terms: {CREDITS}"""


def _others(heard: Sequence[tuple[str, str]], songs: Sequence[TrainingSong]) -> str:
    rows = []
    for source in heard:
        found = [song for song in songs if song.source == source]
        makers = len({song.maker for song in found})
        rows.append(f"| {' | '.join(source)} | {makers} | {len(found)} | {sum(map(_minutes, found)):.1f} |")
    listed = "\n".join(rows)
    return f"""Beside the library; where there are no songs, weights that had heard them were the start.

| source | licence | makers | songs | minutes |
|---|---|---|---|---|
{listed}"""


def _minutes(song: TrainingSong) -> float:
    return song.n_samples / SAMPLE_RATE / 60


def _plain(song: TrainingSong) -> str:
    if song.dataset:
        return song.dataset
    return "played by the virtual band" if song.kind == "render" else f"recording ({song.kind})"
