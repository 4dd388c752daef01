"""Training data of a model: the sections of its card with sources, licences and credits."""

from collections import defaultdict
from collections.abc import Collection, Sequence

from stemsplit.errors import StemsplitError
from stemsplit.training import SAMPLE_RATE
from stemsplit.training.data.library import Item, Library
from stemsplit.training.data.songs import LIBRARY_SOURCE, TrainingSong

# Beside the audio of the index: MIDI patterns, and the sounds of fluidsynth.
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
    library: Library | None, training_sources: Collection[tuple[str, str]], songs: Sequence[TrainingSong]
) -> str:
    """List sources, licences and credits of the library, if it was used, and of all other songs.

    Parameters
    ----------
    library : Library, optional
        The library.
    training_sources : collection of (str, str)
        Sources that the weights were trained on, each with its licence, see `checkpoint.training_sources_in`.
    songs : sequence of TrainingSong
        Songs that are still available, for counting.

    Raises
    ------
    StemsplitError
        The library was used but is not given.
    """
    parts = []
    if LIBRARY_SOURCE in training_sources:
        if library is None:
            raise StemsplitError("the model was trained on songs of the library: name it with --library")
        parts.append(_library_table(library))
    if others := sorted(set(training_sources) - {LIBRARY_SOURCE}):
        parts.append(_other_sources_table(others, songs))
    return "\n\n".join(["## Data", *parts])


def ingredients_section(songs: Sequence[TrainingSong]) -> str:
    """Tabulate the minutes of every ingredient, for comparison with ablations."""
    minutes: dict[tuple[str, str], float] = defaultdict(float)
    for song in songs:
        for stem in song.stems:
            for name in song.ingredients.get(stem, ()) or (_ingredient_of(song),):
                minutes[(name, stem)] += _minutes(song)
    rows = [f"| {name} | {stem} | {value:.0f} |" for (name, stem), value in sorted(minutes.items())]
    listed = "\n".join(rows)
    return f"""Training stems by ingredient; a stem with several ingredients counts for each of them.

| ingredient | stem | minutes |
|---|---|---|
{listed}"""


def _library_table(library: Library) -> str:
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


def _other_sources_table(training_sources: Sequence[tuple[str, str]], songs: Sequence[TrainingSong]) -> str:
    rows = []
    for source in training_sources:
        found = [song for song in songs if song.source == source]
        artists = len({song.maker for song in found})
        rows.append(f"| {' | '.join(source)} | {artists} | {len(found)} | {sum(map(_minutes, found)):.1f} |")
    listed = "\n".join(rows)
    return f"""Other sources; those without songs were used in the training of the initial weights.

| source | licence | artists | songs | minutes |
|---|---|---|---|---|
{listed}"""


def _minutes(song: TrainingSong) -> float:
    return song.n_samples / SAMPLE_RATE / 60


def _ingredient_of(song: TrainingSong) -> str:
    if song.dataset:
        return song.dataset
    return "rendered by the virtual band" if song.kind == "render" else f"recording ({song.kind})"
