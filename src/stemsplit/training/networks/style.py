"""The network that names the kind of music: a few convolutions over log-mel windows."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (16, 32, 48, 64)


class StyleNetwork(nn.Module):
    """Convolutions that halve both axes, a mean over what is left, and a linear layer.

    Parameters
    ----------
    style_of_genre : sequence of int
        For each genre that it is trained to tell apart the style whose probability it counts for.
    widths : sequence of int
        Features of each convolution.
    """

    styles: Tensor

    def __init__(self, style_of_genre: Sequence[int], widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        styles = functional.one_hot(torch.tensor(style_of_genre)).float()  # (genres, styles)
        self.register_buffer("styles", styles, persistent=False)
        layers: list[nn.Module] = []
        for n_in, n_out in zip((1, *widths), widths, strict=False):
            layers += [nn.Conv2d(n_in, n_out, 3, stride=2, padding=1), nn.BatchNorm2d(n_out), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers)
        self.drop = nn.Dropout(0.3)
        self.decide = nn.Linear(widths[-1], len(style_of_genre))

    def logits(self, windows: Tensor) -> Tensor:
        """Map ``(batch, mels, frames)`` to logits ``(batch, genres)``."""
        found: Tensor = self.decide(self.drop(self.convolutions(windows.unsqueeze(1)).mean((2, 3))))
        return found

    def forward(self, mixture: Tensor) -> Tensor:
        """Map ``(batch, mels, frames)`` to probabilities ``(batch, styles)``."""
        probabilities: Tensor = self.logits(mixture).softmax(1) @ self.styles
        return probabilities
