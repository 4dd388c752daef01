"""A recurrent network with a masking layer, after Trifon's plan for monaural recordings.

P.-S. Huang, M. Kim, M. Hasegawa-Johnson and P. Smaragdis, "Deep Learning for Monaural Speech Separation",
ICASSP 2014, has the masking layer, whose outputs sum to the input.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from stemsplit.dsp.stft import StftSpec
from stemsplit.training import TARGETS
from stemsplit.training.networks.bands import BandLayout
from stemsplit.training.networks.base import check_targets
from stemsplit.training.networks.mask_network import MaskNetwork
from stemsplit.training.networks.spectra import stft

LSTM_SPEC = StftSpec(2048, 1024)
POWER_FLOOR = 1e-4  # of a row, added before the logarithm: about -100 dB full scale


class RecurrentMasks(MaskNetwork):
    """An LSTM over magnitude frames, and masks that sum to one.

    Parameters
    ----------
    hidden_size : int
        Width of the LSTM's output.
    n_layers : int
        LSTM layers.
    bidirectional : bool
        Whether half of the LSTM runs from the last frame to the first.
    targets : sequence of str
        What is separated, two or more.
    """

    name = "lstm"
    end_modules = ("encode", "decode")
    spec = LSTM_SPEC
    n_bins = LSTM_SPEC.n_bins
    context_s = 2.0
    summary = "a recurrent network over magnitude frames"
    input_mean: Tensor
    input_scale: Tensor

    def __init__(
        self,
        *,
        hidden_size: int = 256,
        n_layers: int = 2,
        bidirectional: bool = True,
        targets: Sequence[str] = TARGETS,
    ) -> None:
        super().__init__()
        self.targets = check_targets(targets)
        if bidirectional and hidden_size % 2:
            raise ValueError(
                f"hidden_size is split between two directions and must be even, not {hidden_size}"
            )
        self.options = {"hidden_size": hidden_size, "n_layers": n_layers, "bidirectional": bidirectional}
        self.options |= {"targets": list(self.targets)}
        # single bins up to 5.5 kHz, then groups of 16 (345 Hz)
        self.layout = BandLayout(n_bins=self.n_bins, group=16, bands=((305, 1),))
        n_rows = self.layout.n_compact
        self.register_buffer("input_mean", torch.zeros(n_rows))
        self.register_buffer("input_scale", torch.ones(n_rows))
        self.encode = nn.Linear(n_rows, hidden_size)
        self.lstm = nn.LSTM(
            hidden_size,
            hidden_size // (2 if bidirectional else 1),
            n_layers,
            batch_first=True,
            bidirectional=bidirectional,
        )
        self.decode = nn.Linear(hidden_size, len(self.targets) * n_rows)

    def masks(self, magnitude: Tensor) -> Tensor:
        """Compute masks: ``(batch, 1, bins, frames) -> (batch, targets, 1, rows, frames)``."""
        x = (self._levels(magnitude[:, 0]).transpose(1, 2) - self.input_mean) * self.input_scale
        x = torch.tanh(self.encode(x))  # (batch, frames, hidden)
        x = self.decode(self.lstm(x)[0]).transpose(1, 2)
        # targets and rows are told apart where no axis of free length is: the export would fix its length
        masks = [each.unsqueeze(1) for each in x.split(self.layout.n_compact, 1)]
        return torch.cat(masks, 1).softmax(1).unsqueeze(2)  # (batch, targets, 1, rows, frames)

    def adapt(self, mixtures: Iterable[Tensor]) -> None:
        """Set the input's offset and scale to the mean and deviation of each row of mono mixtures."""
        levels = [self._levels(stft(mixture.mean(0), self.spec).abs()) for mixture in mixtures]
        deviation, mean = torch.std_mean(torch.cat(levels, -1), -1, correction=0)
        self.load_state_dict({"input_mean": mean, "input_scale": 1 / deviation.clamp_min(0.1)}, strict=False)

    def _levels(self, magnitude: Tensor) -> Tensor:
        """Return the logarithm of the power of each row: ``(..., bins, frames) -> (..., rows, frames)``."""
        return torch.log(self.layout.gather(magnitude.square()) + POWER_FLOOR)
