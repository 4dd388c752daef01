"""Examples: that a seed decides everything, what the loss may count, and what an ablation leaves out."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from stemsplit.errors import StemsplitError
from stemsplit.training import SAMPLE_RATE, TARGETS
from stemsplit.training.data.rendered_stem import RenderedStem
from stemsplit.training.data.songs import LIBRARY_SOURCE, TrainingSong, load_songs, save_song, targets_of
from stemsplit.training.examples.augment import AugmentSettings
from stemsplit.training.examples.record_statistics import bundled_distribution
from stemsplit.training.examples.remix import TARGET_LEVELS_DB, Example, Remixer
from stemsplit.training.examples.sampler import WeightedSampler
from stemsplit.training.examples.settings import INGREDIENTS, RemixSettings
from stemsplit.types import FloatArray

SONGS = dict.fromkeys(("render-0", "render-1", "multitrack-0"), TARGETS) | {
    "backing-0": ("drums+bass+other",),
    "passage-0": ("bass+other",),
    "passage-1": ("drums+other",),
    "passage-2": ("other",),
    "separated-0": ("drums",),
    "screened-0": ("drums+bass+other",),
}
TAGS = {("render-0", "vocals"): ("sung-speech",), ("render-1", "other"): ("distortion",)}
Reading = tuple[list[tuple[str, str]], Example]


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> list[TrainingSong]:
    folder = tmp_path_factory.mktemp("songs")
    rng = np.random.default_rng(1)
    for name, stems in SONGS.items():
        takes = {
            stem: RenderedStem(rng.normal(0, 0.1, (2, 50000)).astype(np.float32), TAGS.get((name, stem), ()))
            for stem in stems
        }
        save_song(folder, name, takes, split="train", kind=name.split("-")[0])
    return load_songs(folder)


@pytest.fixture(scope="module")
def everything(songs: list[TrainingSong]) -> set[tuple[str, str]]:
    """What is drawn where nothing is left out."""
    with pytest.MonkeyPatch.context() as patch:
        return read_places(readings(make_remixer(songs), patch, 300))


def make_remixer(songs: list[TrainingSong], **changes: object) -> Remixer:
    """A remixer that leaves stems as they are drawn; `matched` moves them toward records."""
    settings = RemixSettings(n_samples=4000, **{"matched": 0.0, **changes})  # type: ignore[arg-type]
    return Remixer(songs, settings, seed=3)


def readings(remixer: Remixer, monkeypatch: pytest.MonkeyPatch, n_examples: int = 150) -> list[Reading]:
    """Examples, and the (song, stem) that each was cut from."""
    found: list[Reading] = []
    places: list[tuple[str, str]] = []
    read = TrainingSong.read

    def spy(song: TrainingSong, stem: str, start: int, n_samples: int) -> FloatArray:
        places.append((song.path.stem, stem))
        return read(song, stem, start, n_samples)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingSong, "read", spy)
        for number in range(n_examples):
            places.clear()
            example = remixer.example(number)
            found.append((list(places), example))
    return found


def read_places(found: list[Reading]) -> set[tuple[str, str]]:
    return {place for places, _ in found for place in places}


@pytest.mark.parametrize("exponent", [-0.2, -5.1e-4, -3e-4, -1e-4, -2e-5, 2e-5, 1e-4, 3e-4, 5.1e-4, 0.2])
def test_a_stem_at_any_speed_is_long_enough(songs: list[TrainingSong], exponent: float) -> None:
    class Drawn(np.random.Generator):
        def uniform(self, low: float, high: float) -> float:  # type: ignore[override]
            return exponent if (low, high) == (-0.2, 0.2) else 0.5 * (low + high)

    (song,) = (song for song in songs if song.path.stem == "render-0")
    remixer = Remixer(songs, RemixSettings(n_samples=40_000, speed=1.0), seed=3)
    assert remixer._cut(Drawn(np.random.PCG64(1)), song, "drums").shape == (2, remixer._n_drawn)


def test_all_stems_of_a_detuned_example_have_the_same_other_pitch(tmp_path: Path) -> None:
    tones_hz = np.array([450.0, 900.0, 225.0, 1800.0])
    time_s = np.arange(100_000) / SAMPLE_RATE
    tones = np.sin(2 * np.pi * tones_hz[:, None, None] * time_s).astype(np.float32).repeat(2, 1)
    stems = {target: RenderedStem(tone) for target, tone in zip(TARGETS, tones, strict=True)}
    save_song(tmp_path, "a", stems, split="train", kind="multitrack")
    plain = AugmentSettings(reverb=0, width=0, fade=0, saturation=0)
    settings = RemixSettings(
        n_samples=40_000, coherent=1, backing=0, partial=0, silence=0, master=0, matched=0, augment=plain
    )
    songs = load_songs(tmp_path)
    for detuned in (0.0, 1.0):
        remixer = Remixer(songs, replace(settings, detuned=detuned), seed=3)
        found = np.stack([remixer.example(number).stems[:, 0] for number in range(24)])
        assert found.shape[2] == 40_000
        assert np.abs(found[..., -500:]).max(-1).all()  # also those that are sped up most
        crossings = (np.diff(np.signbit(found), axis=-1) != 0).sum(-1)
        pitches = crossings / (2 * tones_hz * 40_000 / SAMPLE_RATE)
        assert pitches == pytest.approx(pitches[:, :1].repeat(4, 1), abs=0.008)
        lowest, highest = pitches[:, 3].min(), pitches[:, 3].max()
        if detuned:
            assert 0.97 < lowest < 0.985 and 1.015 < highest < 1.03
        else:
            assert (lowest, highest) == pytest.approx((1, 1), abs=1e-3)


@pytest.mark.slow
def test_voices_and_drums_change_their_speed_most_and_unseparated_music_like_its_bass(
    songs: list[TrainingSong], monkeypatch: pytest.MonkeyPatch
) -> None:
    remixer = Remixer(songs, RemixSettings(n_samples=400, speed=1.0), seed=3)
    by_name = {song.path.stem: song for song in songs}
    drawn: list[float] = []

    def spy(sound: FloatArray, speed: float) -> FloatArray:
        drawn.append(float(np.log(speed)))
        return sound

    monkeypatch.setattr("stemsplit.training.examples.remix.change_speed", spy)
    expected = {"vocals": 0.2, "drums": 0.2, "bass": 0.12, "other": 0.12, "drums+bass+other": 0.12}
    for stem, spread in expected.items():
        drawn.clear()
        for number in range(200):
            remixer._cut(
                np.random.default_rng(number), by_name["backing-0" if "+" in stem else "render-0"], stem
            )
        assert 0.95 * spread < max(drawn) <= spread and -spread <= min(drawn) < -0.95 * spread


def test_examples_depend_on_seed_and_number_alone(songs: list[TrainingSong]) -> None:
    remixer = make_remixer(songs)
    first = [remixer.example(number).stems for number in range(12)]
    again = [remixer.example(number).stems for number in reversed(range(12))][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], first[1])


def test_examples_have_their_shape_and_are_finite(songs: list[TrainingSong]) -> None:
    remixer = make_remixer(songs)
    for number in range(40):
        stems = remixer.example(number).stems
        assert stems.shape == (4, 2, 4000) and stems.dtype == np.float32
        assert np.isfinite(stems).all() and np.abs(stems).max() < 20


@pytest.mark.parametrize("coherent", [1.0, 0.0])
def test_stems_of_one_place_are_turned_together_others_each_by_itself(
    tmp_path: Path, coherent: float
) -> None:
    same = RenderedStem(np.random.default_rng(0).normal(0, 0.1, (2, 4000)).astype(np.float32))
    save_song(tmp_path, "a", dict.fromkeys(TARGETS, same), split="train", kind="render")
    plain = AugmentSettings(reverb=0, width=0, fade=0, saturation=0)
    settings = {"coherent": coherent, "silence": 0.0, "speed": 0.0, "master": 0.0, "augment": plain}
    remixer = make_remixer(load_songs(tmp_path), **settings, without=("layers",))
    turns = Counter[frozenset[tuple[bool, bool]]]()
    for number in range(60):
        stems = remixer.example(number).stems
        # which channel of the song the left one is, and its sign
        found = [stem[0] @ same.waveform.T for stem in stems]
        turns[frozenset((bool(abs(b) > abs(a)), bool(max(a, b, key=abs) < 0)) for a, b in found)] += 1
    if coherent:
        assert len(turns) == 4 and all(len(each) == 1 for each in turns)
    else:
        assert max(map(len, turns)) > 2


@pytest.mark.slow
def test_only_what_unseparated_music_lacks_is_known(
    songs: list[TrainingSong], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Counter[str]()
    for places, example in readings(make_remixer(songs, silence=0.0), monkeypatch, 300):
        composites = [stem for _, stem in places if "+" in stem]
        assert len(composites) <= 1
        held = targets_of(composites[0]) if composites else ()
        assert example.known.tolist() == [target not in held for target in TARGETS]
        # the music stands in the place of its last target, nothing else that it holds is there
        for index, target in enumerate(TARGETS):
            assert example.stems[index].any() == (target not in held[:-1])
        seen.update(composites)
    assert 60 < seen["drums+bass+other"] < 120  # 30 %
    assert 15 < seen["bass+other"] + seen["drums+other"] < 50 and len(seen) == 3  # 10 %


@pytest.mark.slow
def test_everything_but_screened_songs_is_drawn(everything: set[tuple[str, str]]) -> None:
    assert everything == {(n, stem) for n, stems in SONGS.items() for stem in stems if n != "screened-0"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "absent"),
    [
        ("multitracks", [("multitrack-0", target) for target in TARGETS]),
        ("sung-speech", [("render-0", "vocals")]),
        ("distortion", [("render-1", "other")]),
        ("backing", [("backing-0", "drums+bass+other")]),
        ("passages", [("passage-0", "bass+other"), ("passage-1", "drums+other"), ("passage-2", "other")]),
        ("separated", [("separated-0", "drums")]),
    ],
)
def test_what_is_left_out_is_not_drawn(
    songs: list[TrainingSong],
    everything: set[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    absent: list[tuple[str, str]],
) -> None:
    rest = read_places(readings(make_remixer(songs, without=(name,)), monkeypatch, 300))
    assert everything - rest == set(absent)


@pytest.mark.slow
def test_without_cross_song_mixing_fully_known_examples_come_from_one_song(
    songs: list[TrainingSong], monkeypatch: pytest.MonkeyPatch
) -> None:
    def mixed(found: list[Reading]) -> int:
        return sum(len({song for song, _ in p}) > 1 for p, example in found if example.known.all())

    assert mixed(readings(make_remixer(songs), monkeypatch)) > 50
    assert mixed(readings(make_remixer(songs, without=("cross-song",)), monkeypatch)) == 0
    with pytest.raises(StemsplitError, match="cross-song"):
        make_remixer([s for s in songs if len(s.stems) == 1] + single_stems(songs), without=("cross-song",))


@pytest.mark.slow
def test_layers_play_a_target_from_two_songs_at_once(
    songs: list[TrainingSong], monkeypatch: pytest.MonkeyPatch
) -> None:
    def layered(found: list[Reading]) -> Counter[str]:
        mixed = [[stem for _, stem in places] for places, example in found if example.known.all()]
        return Counter(stem for stems in mixed for stem in set(stems) if stems.count(stem) > 1)

    counts = layered(readings(make_remixer(songs), monkeypatch, 300))
    assert counts["other"] > counts["vocals"] > counts["bass"] == 0 and counts["drums"] > 0
    for name in ("layers", "cross-song"):
        assert not layered(readings(make_remixer(songs, without=(name,)), monkeypatch))


def single_stems(songs: list[TrainingSong]) -> list[TrainingSong]:
    """A song for each stem of the first render."""
    whole = next(song for song in songs if song.kind == "render")
    return [TrainingSong(whole.path, "train", "render", (t,), (-20.0,), whole.n_samples) for t in TARGETS]


def test_without_mastering_no_limiter_works(
    songs: list[TrainingSong], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[float] = []

    def spy(stems: FloatArray, depth_db: float) -> FloatArray:
        calls.append(depth_db)
        return stems

    monkeypatch.setattr("stemsplit.training.examples.remix.apply_mastering", spy)
    for without in ((), ("mastering",)):
        remixer = make_remixer(songs, without=without)
        _ = [remixer.example(number) for number in range(30)]
        assert bool(calls) == (not without)
        calls.clear()


def test_an_unknown_ingredient_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(StemsplitError, match=f"salt.*{INGREDIENTS[0]}"):
        RemixSettings(n_samples=100, without=("salt",))


def test_a_target_without_songs_is_an_error(songs: list[TrainingSong]) -> None:
    only = [song for song in songs if song.kind in {"multitrack", "passage"}]
    with pytest.raises(StemsplitError, match="vocals without multitracks"):
        make_remixer(only, without=("multitracks",))


def made_up(name: str, maker: str, kind: str = "multitrack") -> TrainingSong:
    return TrainingSong(Path(f"{name}.npy"), "train", kind, ("bass",), (-20.0,), 1000, maker=maker)


def test_a_band_of_many_songs_does_not_drown_the_others() -> None:
    pool = WeightedSampler(
        [made_up(f"{n}", "band") for n in range(16)] + [made_up("a", "x"), made_up("b", "y")]
    )
    rng = np.random.default_rng(0)
    makers = Counter(pool.draw(rng).maker for _ in range(900))
    assert 520 < makers["band"] < 680  # 4 : 1 : 1 instead of 16 : 1 : 1


@pytest.mark.parametrize(("n_makers", "wanted"), [(1, 100), (2, 200), (5, 300)])
def test_few_makers_leave_more_to_the_renders(n_makers: int, wanted: int) -> None:
    recordings = [made_up(f"{n}", f"maker {n}") for n in range(n_makers)]
    pool = WeightedSampler([*recordings, made_up("played", "", "render")], maker=0.1)
    rng = np.random.default_rng(0)
    kinds = Counter(pool.draw(rng, 0.3).kind for _ in range(1000))
    assert kinds["multitrack"] == pytest.approx(wanted, abs=45)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "matched", "loudness"),
    [("render", 0.0, TARGET_LEVELS_DB), ("multitrack", 0.0, None), ("multitrack", 1.0, None)],
)
def test_stems_of_one_song_stand_as_in_a_record(
    tmp_path: Path, kind: str, matched: float, loudness: dict[str, float] | None
) -> None:
    """Renders have no balance of their own worth keeping; a real song has, also where stems are matched."""
    rng = np.random.default_rng(0)
    stored = {"vocals": 0.02, "drums": 0.03, "bass": 0.3, "other": 0.1}
    takes = {t: RenderedStem(rng.normal(0, x, (2, 50000)).astype(np.float32)) for t, x in stored.items()}
    save_song(tmp_path, "a", takes, split="train", kind=kind)
    remixer = make_remixer(
        load_songs(tmp_path),
        coherent=1.0,
        backing=0,
        partial=0,
        silence=0,
        master=0,
        loudness_db=0,
        matched=matched,
    )
    levels = np.median([levels_db(remixer.example(number).stems) for number in range(200)], 0)
    wanted = loudness or {t: -19.0 + 20 * np.log10(x / 0.3) for t, x in stored.items()}
    assert levels == pytest.approx([wanted[target] for target in TARGETS], abs=1.0)


def test_a_voice_stands_beside_unseparated_music_as_in_a_record(songs: list[TrainingSong]) -> None:
    remixer = make_remixer(songs, backing=1.0, partial=0, coherent=0, silence=0, master=0, matched=1.0)
    levels = np.array([levels_db(remixer.example(number).stems) for number in range(150)])
    distances_db = levels[:, 0] - levels[:, 3]
    rng, wanted_db = np.random.default_rng(0), []
    for _ in range(500):
        voice, *others = (each.level_db for each in bundled_distribution().draw(rng).values())
        wanted_db.append(voice - 10 * np.log10(sum(10 ** (level_db / 10) for level_db in others)))
    assert np.median(distances_db) == pytest.approx(np.median(wanted_db), abs=1.0)
    assert np.std(distances_db) == pytest.approx(np.hypot(np.std(wanted_db), 1.5 * 2**0.5), rel=0.25)


def test_songs_shorter_than_an_example_are_drawn_only_where_there_are_no_others(tmp_path: Path) -> None:
    for name, n_samples in (("short", 3000), ("long", 20000)):
        take = RenderedStem(np.full((2, n_samples), 0.1, np.float32))
        save_song(tmp_path, name, dict.fromkeys(TARGETS, take), split="train", kind="multitrack")
    for kept, drawn in ((("short", "long"), {"long"}), (("short",), {"short"})):
        songs = [song for song in load_songs(tmp_path) if song.path.stem in kept]
        with pytest.MonkeyPatch.context() as patch:
            found = readings(make_remixer(songs), patch, 40)
        assert {name for name, _ in read_places(found)} == drawn


@pytest.mark.parametrize("most_db", [0.0, 9.0])
def test_examples_are_louder_and_softer_as_a_whole(tmp_path: Path, most_db: float) -> None:
    rng = np.random.default_rng(0)
    takes = {t: RenderedStem(rng.normal(0, 0.1, (2, 4000)).astype(np.float32)) for t in TARGETS}
    save_song(tmp_path, "a", takes, split="train", kind="multitrack")
    settings = {"coherent": 1.0, "backing": 0, "partial": 0, "silence": 0, "master": 0}
    plain = AugmentSettings(reverb=0, width=0, fade=0, saturation=0)
    songs = load_songs(tmp_path)
    same, moved = (
        make_remixer(songs, **settings, augment=plain, loudness_db=each) for each in (0.0, most_db)
    )
    gains_db = [
        levels_db(moved.example(number).stems) - levels_db(same.example(number).stems) for number in range(80)
    ]
    assert np.ptp(gains_db, axis=1).max() < 1e-3, "the stems of an example have changed their balance"
    assert np.ptp(gains_db) == pytest.approx(2 * most_db, rel=0.1, abs=1e-6)


def levels_db(stems: FloatArray) -> FloatArray:
    return np.asarray(10 * np.log10(np.square(stems).mean((1, 2)) + 1e-12), np.float32)


ADDED = {
    "whole": TARGETS,
    "voiceless": ("vocals", "drums+bass+other"),
    "drumless": ("vocals+bass+other",),
    "bass": ("bass",),
    "duo": ("violin", "viola"),
    "both": ("violin+viola",),
}


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory) -> list[TrainingSong]:
    """Songs of a data set, and one of the library that calls other what the others call otherwise."""
    folder = tmp_path_factory.mktemp("added")
    take = RenderedStem(np.random.default_rng(1).normal(0, 0.1, (2, 50000)).astype(np.float32))
    for name, stems in ADDED.items():
        takes = dict.fromkeys(stems, take)
        save_song(folder, name, takes, split="train", kind="added", dataset="mine", licence="CC0-1.0")
    save_song(folder, "render", dict.fromkeys(TARGETS, take), split="train", kind="render")
    return load_songs(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("without", "absent"),
    [
        ((), set()),
        (("multitracks",), {"whole"}),
        (("backing",), {"voiceless"}),
        (("passages",), {"drumless"}),
    ],
)
def test_added_songs_are_drawn_as_what_they_are(
    added: list[TrainingSong], monkeypatch: pytest.MonkeyPatch, without: tuple[str, ...], absent: set[str]
) -> None:
    remixer = make_remixer(added, without=without, maker=1.0)
    drawn = {name for name, _ in read_places(readings(remixer, monkeypatch))}
    assert drawn == {"whole", "voiceless", "drumless", "bass", "render"} - absent
    assert remixer.training_sources == {LIBRARY_SOURCE, ("mine", "CC0-1.0")}


def test_other_targets_are_drawn_from_songs_that_know_them(
    added: list[TrainingSong], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = RemixSettings(n_samples=4000, silence=0.0)
    remixer = Remixer(added, settings, seed=3, targets=("viola", "violin"))
    found = readings(remixer, monkeypatch)
    # music that may hold all targets teaches none of them
    assert {name for name, _ in read_places(found)} == {"duo"} and remixer.example_kinds == ("coherent",)
    assert all(example.known.all() and example.stems.shape == (2, 2, 4000) for _, example in found)
    with pytest.raises(StemsplitError, match="no song for training has tuba"):
        Remixer(added, settings, seed=3, targets=("viola", "violin", "tuba"))


def test_shares_of_examples_are_at_most_all(added: list[TrainingSong]) -> None:
    with pytest.raises(StemsplitError, match=r"backing 0\.3, partial 0\.1, coherent 0\.7"):
        make_remixer(added, coherent=0.7)
    settings = RemixSettings(n_samples=4000, coherent=1.0)
    assert Remixer(added, settings, seed=3, targets=("viola", "violin")).example_kinds == ("coherent",)
