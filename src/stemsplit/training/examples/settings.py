"""Settings of the training examples."""

from dataclasses import dataclass, field

from stemsplit.errors import StemsplitError
from stemsplit.training.examples.augment import AugmentSettings
from stemsplit.training.examples.record_matching import MatchSettings

# What a training may leave out.
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
# Settings that are a share of the examples, or a probability.
SHARES = (
    "coherent",
    "backing",
    "partial",
    "unknown",
    "real",
    "maker",
    "silence",
    "speed",
    "detuned",
    "master",
    "matched",
)


@dataclass(frozen=True)
class RemixSettings:
    """Distribution of the examples.

    Parameters
    ----------
    n_samples : int
        Length of an example in samples.
    coherent : float
        Share of examples whose stems come from the same position of one song.
    backing : float
        Share of examples that mix a voice with unseparated real music; only their vocals are known.
    partial : float
        Share of examples with unseparated real music that lacks other targets than the voice, such as drums
        or bass; these are added and known.
    unknown : float
        Share of examples of whole songs of which no stem is known. Only a discriminator learns from them.
    real : float
        Probability that a stem, or a coherent song, is a real recording, or was separated from one, instead
        of a render.
    maker : float
        Largest probability of any one maker. If few makers recorded a target, fewer of its stems are real, so
        that the network does not overfit to these makers.
    silence : float
        Probability that a stem of an example is silent; twice as large for vocals, half as large in coherent
        examples.
    speed : float
        Probability that the speed of a stem is changed, together with its pitch, by at most `SPEED_SPREADS`.
    detuned : float
        Probability that the speed and pitch of all stems of an example are changed alike, by at most half a
        semitone.
    master : float
        Probability that the mixture is limited, as in mastering; all stems are attenuated by the same gain.
    matched : float
        Probability that the known stems of an example are moved toward the statistics of a record.
    loudness_db : float
        Largest random gain of an example, up or down, in decibels; all stems have the same.
    augment : AugmentSettings
        Augmentations of single stems.
    match : MatchSettings
        How far stems are moved toward a record.
    without : tuple of str
        Ingredients to leave out, some of `INGREDIENTS`.

    Raises
    ------
    StemsplitError
        An ingredient is unknown, or a share or probability is not from 0 to 1.
    """

    n_samples: int
    coherent: float = 0.2
    backing: float = 0.3
    partial: float = 0.1
    unknown: float = 0.0
    real: float = 0.4
    maker: float = 0.1
    silence: float = 0.05
    speed: float = 0.3
    detuned: float = 0.3
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
