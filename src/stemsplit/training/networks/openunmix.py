"""Open-Unmix as published, for comparison.

F.-R. Stöter, S. Uhlich, A. Liutkus and Y. Mitsufuji, "Open-Unmix - A Reference Implementation for
Music Source Separation", Journal of Open Source Software, 2019.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from stemsplit.dsp.stft import StftSpec
from stemsplit.training import TARGETS
from stemsplit.training.networks.base import SeparationNetwork, check_targets
from stemsplit.training.networks.precision import autocast
from stemsplit.training.networks.spectra import centred_stft, inverse_stft, stft

OPENUNMIX_SPEC = StftSpec(4096, 1024, analysis_window="hann", synthesis_window="hann")


class TargetNetwork(nn.Module):
    """A three-layer bidirectional LSTM over magnitude frames, for one target.

    Parameters
    ----------
    n_bins : int
        Number of STFT bins (2049: ``n_fft`` 4096, with hop 1024).
    n_channels : int
        Channels of the mixture.
    hidden_size : int
        Width of the LSTM's output.
    n_layers : int
        LSTM layers.
    max_bin : int
        Number of input bins (1487: 16 kHz at 44.1 kHz); masks cover all bins.
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


class OpenUnmix(SeparationNetwork):
    """A network of its own for each target; trained on the mean squared error of magnitudes.

    Parameters
    ----------
    hidden_size, n_layers, max_bin : int
        Those of `TargetNetwork`.
    targets : sequence of str
        What is separated, two or more.
    """

    name = "openunmix"
    end_modules = ("encode", "decode")
    n_bins = OPENUNMIX_SPEC.n_bins

    def __init__(
        self,
        *,
        hidden_size: int = 512,
        n_layers: int = 3,
        max_bin: int = 1487,
        targets: Sequence[str] = TARGETS,
    ) -> None:
        super().__init__()
        self.targets = check_targets(targets)
        if hidden_size % 2:
            raise ValueError(
                f"hidden_size is split between two directions and must be even, not {hidden_size}"
            )
        sizes = {"hidden_size": hidden_size, "n_layers": n_layers, "max_bin": max_bin}
        self.options = {**sizes, "targets": list(self.targets)}
        self.parts = nn.ModuleList(TargetNetwork(**sizes) for _ in self.targets)

    def forward(self, magnitude: Tensor) -> Tensor:
        """Compute non-negative masks: ``(batch, 2, bins, frames) -> (batch, targets, 2, bins, frames)``."""
        return torch.cat([part(magnitude) for part in self.parts], 1)

    def loss(self, stems: Tensor, known: Tensor, eq_gains: Tensor) -> Tensor:
        """Compute the mean squared error of the magnitudes over the known stems."""
        with torch.no_grad():
            spectra = stft(stems, OPENUNMIX_SPEC) * eq_gains[:, :, None, :, None]
            mixture, references = spectra.sum(1).abs(), spectra.abs()
        with autocast(stems.device.type):
            masks = self(mixture)
        error = (masks.float() * mixture.unsqueeze(1) - references).square().mean((2, 3, 4))
        loss: Tensor = (error * known).sum() / known.sum().clamp_min(1)
        return loss

    @torch.inference_mode()
    def estimates(self, mixture: Tensor) -> Tensor:
        """Return waveforms of all targets, by ratio masks of the estimated magnitudes."""
        spectrum = centred_stft(mixture, OPENUNMIX_SPEC)
        masks = self(spectrum.abs()[None])[0] + 1e-7  # bins without estimates are shared equally
        return inverse_stft(masks / masks.sum(0) * spectrum, mixture.shape[-1], OPENUNMIX_SPEC)

    def adapt(self, mixtures: Iterable[Tensor]) -> None:
        """Set every input scaler to the mean and deviation of each bin of mono mixtures, as published."""
        frames = [stft(mixture.mean(0), OPENUNMIX_SPEC).abs() for mixture in mixtures]
        deviation, mean = torch.std_mean(torch.cat(frames, -1), -1, correction=0)  # (bins,)
        scale = 1 / torch.maximum(deviation, 1e-4 * deviation.max())
        for part in self.parts:
            state = {"input_mean": -mean, "input_scale": scale}
            part.load_state_dict({k: v[: self.options["max_bin"]] for k, v in state.items()}, strict=False)
