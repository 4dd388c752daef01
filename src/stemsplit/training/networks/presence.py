"""A classifier of windows, after Boulter: whether drums sound in them.

It has one of four inputs: the waveform, the waveform in groups of ten samples, the real Fourier transform, or
that in groups of ten bins.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from stemsplit.training.networks.precision import autocast
from stemsplit.training.networks.windows import (
    WINDOW_SAMPLES,
    WindowNetwork,
    are_loud,
    cut_examples,
    cut_windows,
    peaks,
)

GROUP = 10  # samples or bins
N_VALUES = {
    "waveform": WINDOW_SAMPLES,
    "binned-waveform": WINDOW_SAMPLES // GROUP,
    "spectrum": WINDOW_SAMPLES // 2,
    "binned-spectrum": WINDOW_SAMPLES // 2 // GROUP,
}
# targets count neither as there nor as absent below their loudest window, or the rest, by so much
DECAYED_DB = -30.0
COVERED_DB = -15.0
_FLOOR = 1e-4


class PresenceNetwork(WindowNetwork):
    """A one-dimensional convolutional network that tells windows with the target from others.

    Parameters
    ----------
    input : str
        One of `N_VALUES`.
    n_filters : int
        Filters of the first layer; the two after it have twice as many.
    targets : sequence of str
        The target, and a name for the rest.
    """

    name = "presence"
    end_modules = ("layers", "decide")
    summary = "a convolutional classifier of windows"
    input_mean: Tensor
    input_scale: Tensor

    def __init__(
        self,
        *,
        input: str = "binned-spectrum",
        n_filters: int = 16,
        targets: Sequence[str] = ("drums", "accompaniment"),
    ) -> None:
        super().__init__(targets)
        if input not in N_VALUES:
            raise ValueError(f"input is {input!r}; it must be {', '.join(N_VALUES)}")
        self.options = {"input": input, "n_filters": n_filters, "targets": list(self.targets)}
        self._input = input
        n_values = N_VALUES[input]
        self.register_buffer("input_mean", torch.zeros(n_values))
        self.register_buffer("input_scale", torch.ones(n_values))
        self.layers = nn.Sequential(
            nn.Conv1d(1, n_filters, 9, padding=4),
            nn.ReLU(),
            nn.MaxPool1d(4),
            nn.Conv1d(n_filters, 2 * n_filters, 9, padding=4),
            nn.ReLU(),
            nn.MaxPool1d(4),
            nn.Conv1d(2 * n_filters, 2 * n_filters, 9, padding=4),
            nn.ReLU(),
        )
        self.decide = nn.Sequential(
            nn.Linear(2 * n_filters * (n_values // 4 // 4), 32), nn.ReLU(), nn.Linear(32, 1)
        )

    def forward(self, mixture: Tensor) -> Tensor:
        """Return the probability of the target in windows: ``(batch, samples) -> (batch, 1)``."""
        probability: Tensor = torch.sigmoid(self.logits(mixture))
        return probability

    def logits(self, windows: Tensor) -> Tensor:
        """Return the logits of the target in windows: ``(batch, samples) -> (batch, 1)``."""
        return self.logits_of(self.values(windows))

    def logits_of(self, values: Tensor) -> Tensor:
        """Return the logits of the target for the values of windows: ``(batch, values) -> (batch, 1)``."""
        values = (values - self.input_mean) * self.input_scale
        logits: Tensor = self.decide(self.layers(values.unsqueeze(1)).flatten(1))
        return logits

    def values(self, windows: Tensor) -> Tensor:
        """Return the input of the convolutions: ``(batch, samples) -> (batch, values)``."""
        values = windows / peaks(windows)
        if self._input.endswith("spectrum"):
            parts = torch.view_as_real(torch.fft.rfft(values))[:, :-1]
            values = parts.square().sum(-1).sqrt()
        if self._input.startswith("binned"):
            values = functional.avg_pool1d(values.unsqueeze(1), GROUP)[:, 0]
        return torch.log(values + 0.1) if self._input.endswith("spectrum") else values

    def separate(self, windows: Tensor) -> Tensor:
        """Return windows as far as the target is in them."""
        return windows * self.forward(windows)

    def loss(self, stems: Tensor, known: Tensor, eq_gains: Tensor) -> Tensor:
        """Compute the cross entropy of windows of the target, of it with the rest, and of the rest."""
        with torch.no_grad():
            windows, labels, counted = _label(cut_examples(stems, eq_gains))
            # the rest has no counterpart of its own for the second kind of windows with the target
            weights = (
                counted * known[:, :1] * torch.tensor([1.0, 1.0, 2.0], device=known.device)[:, None, None]
            )
        values = self.values(windows.flatten(0, 2))
        with autocast(stems.device.type):
            logits = self.logits_of(values)[:, 0].float()
        error = functional.binary_cross_entropy_with_logits(logits, labels.flatten(), reduction="none")
        loss: Tensor = (error * weights.flatten()).sum() / weights.sum().clamp_min(1)
        return loss

    @torch.inference_mode()
    def figures(self, excerpts: Iterable[Tensor]) -> dict[str, float]:
        """Return the accuracy in percent, of windows of the target alone and of it in the mixture.

        Windows with the target and those without have the same weight.
        """
        right = torch.zeros(3)
        total = torch.zeros(3)
        for stems in excerpts:
            windows, labels, counted = _label(cut_windows(stems.mean(1)).unsqueeze(0))
            found = self.logits(windows.flatten(0, 2)).view(labels.shape) > 0
            right += ((found == (labels > 0.5)) * counted).sum((1, 2)).cpu()
            total += counted.sum((1, 2)).cpu()
        if not total.all():
            return {}
        alone, mixed, absent = (100 * right / total).tolist()
        return {"accuracy alone": (alone + absent) / 2, "accuracy mixed": (mixed + absent) / 2}

    def adapt(self, mixtures: Iterable[Tensor]) -> None:
        """Set the input's offset and scale to the mean and deviation of each value over windows."""
        values = torch.cat([self.values(cut_windows(mixture.mean(0))) for mixture in mixtures])
        deviation, mean = torch.std_mean(values, 0, correction=0)
        self.load_state_dict(
            {"input_mean": mean, "input_scale": 1 / deviation.clamp_min(_FLOOR)}, strict=False
        )


def _label(windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return three kinds of windows with labels, and which of them count.

    Parameters
    ----------
    windows : Tensor, shape (batch, targets, windows, samples)
        Windows of the target and of the rest.

    Returns
    -------
    windows : Tensor, shape (3, batch, windows, samples)
        The target, the target with the rest, and the rest.
    labels, counted : Tensor, shape (3, batch, windows)
    """
    target, rest = windows[:, 0], windows[:, 1]
    kinds = torch.stack([target, target + rest, rest])
    labels = torch.ones(kinds.shape[:3], device=kinds.device)
    labels[2] = 0
    level_db = 10 * torch.log10(windows.square().mean(-1) + 1e-12)
    has_target = are_loud(target) & (level_db[:, 0] > level_db[:, 0].amax(-1, keepdim=True) + DECAYED_DB)
    has_rest = are_loud(rest)
    is_clear = level_db[:, 0] > level_db[:, 1] + COVERED_DB
    return kinds, labels, torch.stack([has_target, has_target & has_rest & is_clear, has_rest]).float()
