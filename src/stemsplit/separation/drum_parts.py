"""The parts of a drum kit: a second model takes the drums of a song apart as they come out of the first.

The drums are its mixture, and its masks sum to one, so that kick, snare and cymbals are the drums again.
"""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Final

from stemsplit.dsp.blocks import Fifo
from stemsplit.dsp.meter import StemMeter
from stemsplit.models.device import Device
from stemsplit.models.mask_model import ModelInfo
from stemsplit.registry.installed import kit_model, open_model
from stemsplit.separation.mixer import Mixer
from stemsplit.separation.pipelines import make_pipelines
from stemsplit.separation.recipe import StemRecipe, make_recipe
from stemsplit.separation.settings import SeparationSettings
from stemsplit.separation.song_stream import stream_song
from stemsplit.types import FloatArray

DRUMS: Final = "drums"
# the mixture on its way through a mixer; no model has a target of this name
MIXTURE: Final = StemRecipe("<mixture>", 1, {})

Stems = dict[str, FloatArray]


class DrumParts:
    """The open model of the parts. Several songs may be streamed at the same time.

    Parameters
    ----------
    device
        That runs the model.
    threads
        Of the model on the CPU; None for one per core.
    batch_size
        Chunks in one run of the network.

    Raises
    ------
    ModelError, DeviceError
        If the model cannot be opened.
    """

    def __init__(self, *, device: Device, threads: int | None, batch_size: int) -> None:
        model = open_model(kit_model(), device=device, threads=threads)
        self.info: ModelInfo = model.info
        self._recipe = make_recipe([model.info.spec])
        self._batch_size = batch_size
        self._pipelines = make_pipelines([model], self._recipe.signals, SeparationSettings(), batch_size)

    def close(self) -> None:
        """Release the model; songs that are being streamed keep it until they end."""
        self._pipelines.clear()

    @property
    def stems(self) -> tuple[str, ...]:
        """The names of the parts."""
        return tuple(stem.name for stem in self._recipe.stems)

    def replace_in(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return names of stems with the parts in the place of the drums."""
        place = names.index(DRUMS)
        return (*names[:place], *self.stems, *names[place + 1 :])

    def stream(
        self,
        stems: Generator[Stems, None, None],
        names: Sequence[str],
        *,
        sample_rate: int,
        n_channels: int,
        meter: StemMeter | None = None,
    ) -> Generator[Stems, None, None]:
        """Return blocks of `stems` with the parts in place of the drums; closing them closes `stems`.

        Parameters
        ----------
        stems
            Blocks of the stems of a song, the drums and `MIXTURE` among them.
        names
            Of the stems without `MIXTURE`, in order.
        sample_rate, n_channels
            Of the song.
        meter
            Updated with the mixture and the stems.
        """
        waiting: deque[Stems] = deque()  # filled by the thread that reads the drums
        pipelines = tuple(self._pipelines)
        mixer = Mixer(self._recipe.stems, [each.signals for each in pipelines], n_channels=n_channels)
        parts = stream_song(
            _take_drums(stems, waiting),
            pipelines,
            mixer,
            sample_rate=sample_rate,
            n_channels=n_channels,
            batch_size=self._batch_size,
        )
        joined = _join(parts, waiting, n_channels)
        return _put_in_order(joined, self.replace_in(names), meter)


def _join(
    parts: Generator[Stems, None, None], waiting: deque[Stems], n_channels: int
) -> Generator[Stems, None, None]:
    """Yield the parts together with the stems that have been `waiting` for them."""
    others: dict[str, Fifo] = {}
    with closing(parts):
        for block in parts:
            n_samples = next(iter(block.values())).shape[-1]
            while waiting:
                for name, samples in waiting.popleft().items():
                    others.setdefault(name, Fifo(n_channels)).append(samples)
            yield {name: fifo.pop(n_samples) for name, fifo in others.items()} | block


def _put_in_order(
    blocks: Generator[Stems, None, None], names: Sequence[str], meter: StemMeter | None
) -> Generator[Stems, None, None]:
    """Yield the stems in the order of `names`, without the mixture, by which they are measured."""
    with closing(blocks):
        for block in blocks:
            stems = {name: block[name] for name in names}
            if meter is not None:
                meter.update(block[MIXTURE.name], stems)
            yield stems


def _take_drums(stems: Generator[Stems, None, None], waiting: deque[Stems]) -> Iterator[FloatArray]:
    """Yield the drums; all other stems wait until their parts are there."""
    with closing(stems):
        for block in stems:
            waiting.append({name: samples for name, samples in block.items() if name != DRUMS})
            yield block[DRUMS]
