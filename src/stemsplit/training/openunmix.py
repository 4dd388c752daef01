"""Open-Unmix, as published: the yardstick that ours is measured against.

F.-R. Stöter, S. Uhlich, A. Liutkus and Y. Mitsufuji, "Open-Unmix - A Reference Implementation for
Music Source Separation", Journal of Open Source Software, 2019.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class OpenUnmix(nn.Module):
    """A three-layer bidirectional LSTM over magnitude frames, one target per network.

    Parameters
    ----------
    n_bins : int
        Bins of the STFT (2049: ``n_fft`` 4096, with hop 1024).
    n_channels : int
        Channels of the mixture.
    hidden_size : int
        Width of the LSTM's output.
    n_layers : int
        LSTM layers.
    max_bin : int
        Bins that the network reads (1487: 16 kHz at 44.1 kHz); masks cover all of them.
    """

    def __init__(
        self,
        *,
        n_bins: int = 2049,
        n_channels: int = 2,
        hidden_size: int = 512,
        n_layers: int = 3,
        max_bin: int = 1487,
    ) -> None:
        super().__init__()
        self.n_bins, self.n_channels, self.max_bin = n_bins, n_channels, max_bin
        self.input_mean = nn.Parameter(torch.zeros(max_bin))
        self.input_scale = nn.Parameter(torch.ones(max_bin))
        self.output_scale = nn.Parameter(torch.ones(n_bins))
        self.output_mean = nn.Parameter(torch.ones(n_bins))
        self.encode = nn.Linear(max_bin * n_channels, hidden_size, bias=False)
        self.encode_norm = nn.BatchNorm1d(hidden_size)
        self.lstm = nn.LSTM(
            hidden_size,
            hidden_size // 2,
            n_layers,
            batch_first=True,
            bidirectional=True,
            dropout=0.4 if n_layers > 1 else 0.0,
        )
        self.narrow = nn.Linear(2 * hidden_size, hidden_size, bias=False)
        self.narrow_norm = nn.BatchNorm1d(hidden_size)
        self.decode = nn.Linear(hidden_size, n_bins * n_channels, bias=False)
        self.decode_norm = nn.BatchNorm1d(n_bins * n_channels)

    def forward(self, magnitude: Tensor) -> Tensor:
        """Mask of one target for a mixture.

        Parameters
        ----------
        magnitude : Tensor, shape (batch, channels, bins, frames)
            Magnitudes of the mixture's STFT.

        Returns
        -------
        Tensor, shape (batch, 1, channels, bins, frames)
            Non-negative mask.
        """
        n_batch, _, _, n_frames = magnitude.shape
        x = magnitude.permute(0, 3, 1, 2)[..., : self.max_bin]  # (batch, frames, channels, bins)
        x = ((x + self.input_mean) * self.input_scale).flatten(2)
        x = torch.tanh(self._normalised(self.encode(x), self.encode_norm))
        x = torch.cat([x, self.lstm(x)[0]], -1)
        x = functional.relu(self._normalised(self.narrow(x), self.narrow_norm))
        x = self._normalised(self.decode(x), self.decode_norm)
        x = x.reshape(n_batch, n_frames, self.n_channels, self.n_bins)
        mask = functional.relu(x * self.output_scale + self.output_mean)
        return mask.permute(0, 2, 3, 1).unsqueeze(1)  # (batch, 1, channels, bins, frames)

    @staticmethod
    def _normalised(x: Tensor, norm: nn.BatchNorm1d) -> Tensor:
        normalised: Tensor = norm(x.flatten(0, 1))
        return normalised.reshape(x.shape)
