"""Auto-encoders of waveforms, after Boulter: dense or convolutional, reconstructing or de-noising.

An auto-encoder that reconstructs has windows of the target as its input and output. One that removes noise
has the mixture as its input, so that every other instrument is the noise (P. Vincent et al., "Extracting and
composing robust features with denoising autoencoders", ICML 2008).
"""

from abc import abstractmethod
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from stemsplit.training.networks.precision import autocast
from stemsplit.training.networks.windows import (
    WINDOW_SAMPLES,
    WindowNetwork,
    are_loud,
    cut_examples,
    cut_windows,
    peaks,
)

TASKS = ("reconstruct", "denoise")
_TARGETS = ("drums", "accompaniment")


class AutoEncoder(WindowNetwork):
    """An auto-encoder of windows of a waveform, trained by the mean squared error.

    Parameters
    ----------
    task : str
        ``reconstruct`` or ``denoise``: whether the network's input is the target or the mixture.
    targets : sequence of str
        The target, and a name for the rest.
    """

    end_modules = ("encode", "decode")

    def __init__(self, task: str, targets: Sequence[str]) -> None:
        super().__init__(targets)
        if task not in TASKS:
            raise ValueError(f"task is {task!r}; it must be {' or '.join(TASKS)}")
        self.task = task
        self.options = {"task": task, "targets": list(self.targets)}

    @abstractmethod
    def code(self, windows: Tensor) -> Tensor:
        """Encode and decode normalised windows: ``(batch, samples) -> (batch, samples)`` in (-1, 1)."""

    def forward(self, mixture: Tensor) -> Tensor:
        """Map ``(batch, 1, samples)``, at any level, to ``(batch, targets - 1, 1, samples)``."""
        return self.separate(mixture[:, 0]).unsqueeze(1).unsqueeze(1)

    def separate(self, windows: Tensor) -> Tensor:
        """Normalise windows of a mixture, encode and decode them, and restore their level."""
        peak = peaks(windows)
        return self.code(windows / peak) * peak

    def loss(self, stems: Tensor, known: Tensor, eq_gains: Tensor) -> Tensor:
        """Compute the mean squared error of normalised windows whose input is no silence."""
        with torch.no_grad():
            given, wanted = self._pairs(cut_examples(stems, eq_gains))
            counted = (are_loud(given) * known[:, :1]).flatten()
            given, wanted = given.flatten(0, 1), wanted.flatten(0, 1)
            peak = peaks(given)
        with autocast(stems.device.type):
            found = self.code(given / peak)
        error = (found.float() - wanted / peak).square().mean(-1)
        loss: Tensor = (error * counted).sum() / counted.sum().clamp_min(1)
        return loss

    @torch.inference_mode()
    def figures(self, excerpts: Iterable[Tensor]) -> dict[str, float]:
        """Return the mean squared error of the windows of excerpts, and that of an output of silence."""
        errors, silent = [], []
        for stems in excerpts:
            given, wanted = self._pairs(cut_windows(stems.mean(1)).unsqueeze(0))
            is_loud = are_loud(given)
            given, wanted = given[is_loud], wanted[is_loud]
            if len(given):
                peak = peaks(given)
                found = torch.cat([self.code(each) for each in torch.split(given / peak, 32)])
                errors.append((found - wanted / peak).square().mean(-1))
                silent.append((wanted / peak).square().mean(-1))
        if not errors:
            return {}
        return {"mse": float(torch.cat(errors).mean()), "mse of silence": float(torch.cat(silent).mean())}

    def _pairs(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Return input and output of the network: ``(batch, targets, ...)`` to twice ``(batch, ...)``."""
        target = windows[:, 0]
        return (windows.sum(1) if self.task == "denoise" else target), target


class DenseAutoEncoder(AutoEncoder):
    """One dense layer to encode a window and one to decode it.

    Parameters
    ----------
    mu : float
        Values of the code for each sample of a window, above 0 and up to 1.
    task, targets
        As for `AutoEncoder`.
    """

    name = "dense-autoencoder"
    summary = "a dense auto-encoder of waveforms"

    def __init__(
        self, *, mu: float = 0.5, task: str = "reconstruct", targets: Sequence[str] = _TARGETS
    ) -> None:
        super().__init__(task, targets)
        if not 0 < mu <= 1:
            raise ValueError(f"mu is {mu}; it must be above 0 and at most 1")
        self.options["mu"] = mu
        n_code = max(1, round(mu * WINDOW_SAMPLES))
        self.encode = nn.Linear(WINDOW_SAMPLES, n_code)
        self.decode = nn.Linear(n_code, WINDOW_SAMPLES)

    def code(self, windows: Tensor) -> Tensor:
        """Encode and decode normalised windows."""
        return torch.tanh(self.decode(torch.tanh(self.encode(windows))))


class ConvAutoEncoder(AutoEncoder):
    """Two convolutions to encode a window and two transposed ones to decode it, without pooling.

    Parameters
    ----------
    n_filters, width : int
        Filters of each layer, and their length in samples.
    task, targets
        As for `AutoEncoder`.
    """

    name = "conv-autoencoder"
    summary = "a convolutional auto-encoder of waveforms"

    def __init__(
        self,
        *,
        n_filters: int = 64,
        width: int = 10,
        task: str = "reconstruct",
        targets: Sequence[str] = _TARGETS,
    ) -> None:
        super().__init__(task, targets)
        self.options |= {"n_filters": n_filters, "width": width}
        self.encode = nn.Sequential(
            nn.Conv1d(1, n_filters, width), nn.ReLU(), nn.Conv1d(n_filters, n_filters, width), nn.ReLU()
        )
        self.decode = nn.Sequential(
            nn.ConvTranspose1d(n_filters, n_filters, width),
            nn.ReLU(),
            nn.ConvTranspose1d(n_filters, 1, width),
            nn.Tanh(),
        )

    def code(self, windows: Tensor) -> Tensor:
        """Encode and decode normalised windows."""
        coded: Tensor = self.decode(self.encode(windows.unsqueeze(1)))
        return coded[:, 0]
