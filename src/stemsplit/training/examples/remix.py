"""Training examples: excerpts of stems, mixed across songs.

An example is a function of (seed, number), so a resumed training draws the same examples.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from stemsplit.errors import StemsplitError
from stemsplit.training import TARGETS
from stemsplit.training.data.songs import TrainingSong, songs_with_targets, targets_of
from stemsplit.training.examples.augment import apply_mastering, augment, change_speed
from stemsplit.training.examples.record_matching import match_levels, match_stem
from stemsplit.training.examples.record_statistics import StemStatistics, bundled_distribution
from stemsplit.training.examples.sampler import WeightedSampler
from stemsplit.training.examples.settings import RemixSettings
from stemsplit.types import FloatArray

# Typical level of a target in a record while it is active, in dB relative to full scale, and its spread.
# Targets of added data sets are treated like `other`, here and below.
TARGET_LEVELS_DB = {"vocals": -19.0, "drums": -18.5, "bass": -20.0, "other": -19.0}
LEVEL_SPREAD_DB = 4.5
MAX_GAIN_DB = 24.0
DEAD_DB = -60.0  # quieter stems are ignored
# Probability that the stem of a second song is layered, which makes sparse recordings as dense as records.
LAYER_CHANCES = {"vocals": 0.15, "drums": 0.1, "bass": 0.0, "other": 0.3}
# Largest change of the speed of a stem, as a natural logarithm. It is larger for vocals and drums, because
# there are few singers and kits in the training set, and they differ more than instruments do.
SPEED_SPREADS = {"vocals": 0.2, "drums": 0.2, "bass": 0.12, "other": 0.12}
# Largest change of the speed of a whole example: half a semitone. If all instruments are in tune with 440 Hz,
# the network learns which bins they are in, and takes what lies between for voices.
DETUNED_SPREAD = math.log(2) / 24
# Silence of a stem is so many times as likely as `RemixSettings.silence`: what a network takes for a voice
# where none sings is the error that is noticed most.
SILENCE_FACTORS = {"vocals": 2.0, "drums": 1.0, "bass": 1.0, "other": 1.0}
_KINDS = {"multitrack": "multitracks", "backing": "backing", "passage": "passages", "separated": "separated"}


@dataclass(frozen=True)
class Example:
    """Stems of one example, and which of them are known.

    Parameters
    ----------
    stems : FloatArray, shape (targets, 2, samples)
        Stems in the order of the targets. Unseparated music is in the place of the last target that it may
        contain.
    known : NDArray of bool, shape (targets,)
        Targets whose loss counts.
    is_balanced : bool
        Whether the stems stand to each other as in a recorded song.
    """

    stems: FloatArray
    known: NDArray[np.bool_]
    is_balanced: bool = False


class Remixer:
    """Draws examples from songs.

    Parameters
    ----------
    songs : sequence of TrainingSong
        All must be of split "train", or all of "valid".
    settings : RemixSettings
        Distribution of the examples.
    seed : int
        Seed of all examples; an example depends on it and on its number only.
    targets : sequence of str
        Targets of the examples; songs with other targets are ignored.

    Raises
    ------
    StemsplitError
        A target is in none of the songs, or examples cannot be coherent and must be.
    """

    def __init__(
        self,
        songs: Sequence[TrainingSong],
        settings: RemixSettings,
        *,
        seed: int,
        targets: Sequence[str] = TARGETS,
    ) -> None:
        self.settings, self.seed, self.targets = settings, seed, tuple(targets)
        self._voiceless = frozenset(targets) - {"vocals"}
        # drawn a little longer, for examples that are sped up; two samples more because resampling rounds
        self._n_drawn = math.ceil(settings.n_samples * math.exp(DETUNED_SPREAD)) + 2
        songs = songs_with_targets(songs, targets)
        songs = [s for s in songs if s.kind != "screened" and self._ingredient(s) not in settings.without]
        self.training_sources = frozenset(song.source for song in songs)
        self._whole = self._sample([song for song in songs if self._is_whole(song)], settings.maker)
        self._samplers = {target: self._make_sampler(songs, target) for target in self.targets}
        self._backing = self._sample([song for song in songs if self._backing_stem(song)])
        self._partial = self._sample([song for song in songs if self._partial_stem(song)])
        self._unknown = self._sample([song for song in songs if self._unknown_stem(song)])
        self._has_layers = not {"layers", "cross-song"} & set(settings.without)
        self._check_shares()
        if "cross-song" in settings.without and not self._whole:
            raise StemsplitError("no song has all its stems, so cross-song mixing cannot be left out")

    @property
    def example_kinds(self) -> tuple[str, ...]:
        """Available kinds of examples besides those mixed across songs, by the names of their shares."""
        example_kinds = {"backing": self._backing, "partial": self._partial, "coherent": self._whole}
        if self.settings.unknown:
            example_kinds["unknown"] = self._unknown
        return tuple(name for name, sampler in example_kinds.items() if sampler)

    def example(self, number: int) -> Example:
        """Draw example `number`."""
        rng = np.random.default_rng((self.seed, number))
        example = self._matched(rng, self._detuned(rng, self._draw(rng)))
        stems = example.stems
        if rng.random() < self.settings.master and "mastering" not in self.settings.without:
            stems = apply_mastering(stems, float(rng.uniform(3, 12)))
        gain_db = rng.uniform(-self.settings.loudness_db, self.settings.loudness_db)
        return replace(example, stems=stems * np.float32(10 ** (gain_db / 20)))

    def _detuned(self, rng: Generator, example: Example) -> Example:
        """Change the speed of all stems alike, by chance, and crop them to the length of an example."""
        spread = DETUNED_SPREAD if rng.random() < self.settings.detuned else 0.0
        speed = math.exp(rng.uniform(-spread, spread))
        channels = change_speed(example.stems.reshape(-1, self._n_drawn), speed)[:, : self.settings.n_samples]
        return replace(example, stems=channels.reshape(*example.stems.shape[:2], -1))

    def _matched(self, rng: Generator, example: Example) -> Example:
        """Move the known stems toward the statistics of one record, by chance, and all to its levels."""
        settings = self.settings.match
        if rng.random() >= self.settings.matched or not set(self.targets) <= set(TARGETS):
            return example
        record = bundled_distribution().draw(rng)
        stems = example.stems.copy()
        for place in np.flatnonzero(example.known):
            target = self.targets[place]
            stems[place] = match_stem(rng, stems[place], record[target], settings, target=target)
        if settings.levels and not example.is_balanced:
            stems = match_levels(rng, stems, self._levels_db(record, example.known), settings)
        return replace(example, stems=stems)

    def _levels_db(
        self, record: Mapping[str, StemStatistics], known: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Return the levels of a record; unseparated music has that of all targets in it."""
        levels_db = np.array([record[target].level_db for target in self.targets])
        held = np.flatnonzero(~known)
        if held.size:
            levels_db[held[-1]] = 10 * np.log10(np.sum(10 ** (levels_db[held] / 10)))
        return levels_db

    def _draw(self, rng: Generator) -> Example:
        settings, draw = self.settings, rng.random()
        start = 0.0
        for share, sampler, stem_of in (
            (settings.backing, self._backing, self._backing_stem),
            (settings.partial, self._partial, self._partial_stem),
            (settings.unknown, self._unknown, self._unknown_stem),
        ):
            if start <= draw < start + share and sampler:
                song = sampler.draw(rng)
                return self._completed(rng, song, stem_of(song))
            start += share
        # what is left of the draw is still uniform
        is_coherent = draw >= 1 - settings.coherent and self._whole
        return self._coherent(rng) if is_coherent or "cross-song" in settings.without else self._mixed(rng)

    def _completed(self, rng: Generator, song: TrainingSong, composite: str) -> Example:
        """Mix unseparated music with its absent targets from other songs; only the latter are known."""
        held = [target for target in self.targets if target in targets_of(composite)]
        cuts = {held[-1]: self._cut(rng, song, composite)}
        for target in self.targets:
            if target not in held and rng.random() >= self._silence(target):
                cuts[target] = self._layered(rng, target)
        return self._placed(rng, cuts, together=False, known=set(self.targets) - set(held))

    def _coherent(self, rng: Generator) -> Example:
        song = self._whole.draw(rng, self.settings.real)
        start = _start(rng, song, self._n_drawn)
        song_db = rng.normal(0, 2)
        cuts = {}
        for target in self.targets:
            if target in song.stems and rng.random() >= self._silence(target) / 2:
                cut = song.read(target, start, self._n_drawn)
                cut *= 10 ** ((song_db + _coherent_gain_db(rng, song, target)) / 20)
                cuts[target] = augment(rng, cut, self.settings.augment)
        placed = self._placed(rng, cuts, together=True)
        return replace(placed, is_balanced=song.kind != "render")

    def _mixed(self, rng: Generator) -> Example:
        cuts = {}
        for target in self.targets:
            if rng.random() >= self._silence(target):
                cuts[target] = self._layered(rng, target)
        return self._placed(rng, cuts, together=False)

    def _placed(
        self,
        rng: Generator,
        cuts: Mapping[str, FloatArray],
        *,
        together: bool,
        known: Collection[str] | None = None,
    ) -> Example:
        """Stack stems in the order of targets; channels and polarity are swapped at random, jointly or not.

        All targets are known if `known` is None.
        """
        stems = np.zeros((len(self.targets), 2, self._n_drawn), np.float32)
        turns = rng.random((len(self.targets), 2)) < 0.5
        for target, cut in cuts.items():
            place = self.targets.index(target)
            is_swapped, is_negative = turns[0 if together else place]
            sign = np.float32(-1 if is_negative else 1)
            np.multiply(cut[::-1] if is_swapped else cut, sign, out=stems[place])
        return Example(stems, np.array([known is None or target in known for target in self.targets]))

    def _layered(self, rng: Generator, target: str) -> FloatArray:
        """Cut an excerpt of a target from a random song, sometimes layered with another song's."""
        sampler, real = self._samplers[target], self.settings.real
        stem = self._cut(rng, sampler.draw(rng, real), target)
        if self._has_layers and rng.random() < layer_chance(target):
            share = 10 ** (-float(rng.uniform(0, 12)) / 20)
            stem += share * self._cut(rng, sampler.draw(rng, real), target)
            stem /= math.hypot(1, share)
        return stem

    def _silence(self, target: str) -> float:
        """Return the probability that the stem of a target is silent."""
        return min(1.0, self.settings.silence * _of(SILENCE_FACTORS, target))

    def _cut(self, rng: Generator, song: TrainingSong, stem: str) -> FloatArray:
        """Cut an excerpt of a stem, at about its typical level in a record."""
        n_samples = self._n_drawn
        spread = min(_of(SPEED_SPREADS, target) for target in targets_of(stem))
        speed = float(np.exp(rng.uniform(-spread, spread))) if rng.random() < self.settings.speed else 1.0
        # two samples more, for speeds so close to one that nothing is resampled
        n_read = math.ceil(n_samples * max(speed, 1.0)) + 2
        cut = song.read(stem, _start(rng, song, n_read), n_read)
        cut = change_speed(cut, speed)[:, :n_samples]
        level_db = record_level_db(stem) + rng.normal(0, LEVEL_SPREAD_DB)
        cut *= 10 ** (min(level_db - song.level_db(stem), MAX_GAIN_DB) / 20)
        return augment(rng, cut, self.settings.augment)

    def _allows(self, song: TrainingSong, stem: str) -> bool:
        """Return whether a stem has none of the ingredients to leave out."""
        return not set(song.ingredients.get(stem, ())) & set(self.settings.without)

    def _is_whole(self, song: TrainingSong) -> bool:
        """Return whether a song has all stems of an example."""
        is_alive = song.is_whole and min(song.levels_db) > DEAD_DB
        return is_alive and all(self._allows(song, stem) for stem in song.stems)

    def _backing_stem(self, song: TrainingSong) -> str:
        """Return the stem of unseparated music that lacks only the voice; empty if there is none."""
        if len(self._voiceless) == len(self.targets):
            return ""
        return next((stem for stem in _composites(song) if set(targets_of(stem)) == self._voiceless), "")

    def _partial_stem(self, song: TrainingSong) -> str:
        """Return the stem of unseparated music that lacks targets other than vocals; empty if none does."""
        whole = (self._voiceless, frozenset(self.targets))
        return next((stem for stem in _composites(song) if frozenset(targets_of(stem)) not in whole), "")

    def _unknown_stem(self, song: TrainingSong) -> str:
        """Return the stem of a whole song of which no stem is known; empty if there is none."""
        return next((stem for stem in _composites(song) if set(targets_of(stem)) == set(self.targets)), "")

    def _ingredient(self, song: TrainingSong) -> str:
        """Return which of `settings.INGREDIENTS` a whole song is; empty if none."""
        if song.kind != "added":
            return _KINDS.get(song.kind, "")
        if song.is_whole:
            return "multitracks"
        return "backing" if self._backing_stem(song) else "passages" if self._partial_stem(song) else ""

    def _check_shares(self) -> None:
        shares = {name: getattr(self.settings, name) for name in self.example_kinds}
        if sum(shares.values()) > 1:
            listed = ", ".join(f"{name} {share:g}" for name, share in shares.items())
            raise StemsplitError(f"the shares of the examples sum to more than 1: {listed}")

    def _sample(self, songs: Sequence[TrainingSong], maker: float = 1.0) -> WeightedSampler:
        """Return a sampler of the songs that are as long as an example, or of all if none is."""
        return WeightedSampler([song for song in songs if song.n_samples >= self._n_drawn] or songs, maker)

    def _make_sampler(self, songs: Sequence[TrainingSong], target: str) -> WeightedSampler:
        having = [song for song in songs if target in song.stems and song.level_db(target) > DEAD_DB]
        allowed = [song for song in having if self._allows(song, target)]
        sampler = self._sample(allowed, self.settings.maker)
        if not sampler:
            without = f" without {', '.join(self.settings.without)}" if self.settings.without else ""
            raise StemsplitError(
                f"no song for training has {target}{without}; "
                "run `python -m stemsplit.training prepare` or `add` first"
            )
        return sampler


def _start(rng: Generator, song: TrainingSong, n_samples: int) -> int:
    """Draw where an excerpt of so many samples begins."""
    return int(rng.integers(0, max(1, song.n_samples - n_samples)))


def layer_chance(target: str) -> float:
    """Return the probability that two songs are layered for a target."""
    return _of(LAYER_CHANCES, target)


def record_level_db(stem: str) -> float:
    """Return the typical level of a stem in a record while it is active, in dB relative to full scale.

    >>> record_level_db("bass"), record_level_db("drums+bass+other")
    (-20.0, -15.0)
    """
    targets = targets_of(stem)
    if len(targets) == 1:
        return _of(TARGET_LEVELS_DB, stem)
    power = sum(10 ** (_of(TARGET_LEVELS_DB, target) / 10) for target in targets)
    # slightly less than the sum: the targets are not all active all the time
    return round(10 * math.log10(power) - 0.65, 1)


def _composites(song: TrainingSong) -> list[str]:
    return [stem for stem in song.stems if "+" in stem]


def _of(values: Mapping[str, float], target: str) -> float:
    return values.get(target, values["other"])


def _coherent_gain_db(rng: Generator, song: TrainingSong, target: str) -> float:
    """Return the gain of a stem in a mixture of its own song; real mixtures keep their balance."""
    if song.kind == "render":
        return min(record_level_db(target) + rng.normal(0, 3) - song.level_db(target), MAX_GAIN_DB)
    return TARGET_LEVELS_DB["other"] + rng.normal(0, 2) - max(song.levels_db)
