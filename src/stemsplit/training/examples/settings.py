"""Settings of the examples: how they are drawn."""

from dataclasses import dataclass, field

from stemsplit.errors import StemsplitError
from stemsplit.training.examples.augment import AugmentSettings
from stemsplit.training.examples.record_matching import MatchSettings

# What an ablation may leave out.
INGREDIENTS = (
    "multitracks",
    "sung-speech",
    "distortion",
    "mastering",
    "cross-song",
    "layers",
    "backing",
    "passages",
    "separated",
)
# Settings that are a share of the examples, or a chance.
SHARES = ("coherent", "backing", "partial", "real", "maker", "silence", "speed", "master", "matched")


@dataclass(frozen=True)
class RemixSettings:
    """How examples are drawn.

    Parameters
    ----------
    n_samples : int
        Length of an example.
    coherent : float
        Share of examples whose stems come from one place of one song.
    backing : float
        Share of examples that are a voice over unseparated real music; there only vocals are known.
    partial : float
        Share of examples where unseparated real music lacks more than the voice, drums or bass for one;
        what it lacks is added and known.
    real : float
        Chance that a stem, or a coherent song, is a real recording, or was separated out of one, instead of a
        render.
    maker : float
        Chance at most that it is of one given maker: where few recorded a target, fewer stems are real, or
        training would learn the habits of those few.
    silence : float
        Chance that a stem of an example is left out; half of it where stems come from one song.
    speed : float
        Chance that a stem is played faster or slower, pitch included, by up to what `SPEED_SPREADS` says.
    master : float
        Chance that a limiter works on the mixture, as in mastering: stems duck under the loudest together.
    matched : float
        Chance that the known stems of an example are moved toward the statistics of a record.
    loudness_db : float
        How much louder or softer than most records an example is at most, all stems alike.
    augment : AugmentSettings
        What is done to single stems.
    match : MatchSettings
        How far they are moved.
    without : tuple of str
        Some of `INGREDIENTS`, to be left out.

    Raises
    ------
    StemsplitError
        `without` names something else, or a share or chance is none.
    """

    n_samples: int
    coherent: float = 0.2
    backing: float = 0.3
    partial: float = 0.1
    real: float = 0.4
    maker: float = 0.1
    silence: float = 0.05
    speed: float = 0.3
    master: float = 0.4
    matched: float = 1.0
    loudness_db: float = 9.0
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    match: MatchSettings = field(default_factory=MatchSettings)
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.without:
            if name not in INGREDIENTS:
                raise StemsplitError(f"{name!r} cannot be left out; there are {', '.join(INGREDIENTS)}")
        for name in SHARES:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise StemsplitError(f"{name} is {value!r}; it must be from 0 to 1")
