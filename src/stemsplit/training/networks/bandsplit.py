"""Our network: bands of the spectrum, mixed along time and along bands in turn.

After Y. Luo and J. Yu, "Music Source Separation With Band-Split RNN", IEEE/ACM TASLP 31, 2023, with
three changes. Time is crossed by dilated convolutions: what a frame can see is finite, so a song
may be cut into chunks with context without changing a mask. Above about 4 kHz one mask serves 32
bins. And the masks of all targets come from one softmax: they sum to one.

Between the two ends everything has the *compact* axis: ``n_low`` single bins, then groups of bins. Inside,
bands come first, as the layers along them and those of each band by itself want them: nothing is transposed
on the way.
"""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional

from stemsplit.training import SPEC, TARGETS
from stemsplit.training.networks.bands import BandLayout, four_powers
from stemsplit.training.networks.base import SeparationNetwork, checked_targets
from stemsplit.training.networks.loss import l1_loss, log_energy_loss, waveform_loss
from stemsplit.training.networks.precision import autocast
from stemsplit.training.networks.spectra import as_input, inverse, make_batch, whole_transform
from stemsplit.training.networks.widening import deepen, retarget, widen

MASKS = ("softmax", "sigmoid")
LOSSES = ("log_energy", "l1", "log_energy+waveform")


class BandLinear(nn.Module):
    """A linear layer of its own for each band of a run of equally wide ones."""

    def __init__(self, n_bands: int, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_bands, n_in, n_out) / n_in**0.5)
        self.bias = nn.Parameter(torch.zeros(n_bands, 1, n_out))

    def forward(self, x: Tensor) -> Tensor:
        """``(bands, rows, n_in) -> (bands, rows, n_out)``."""
        return torch.matmul(x, self.weight) + self.bias


class TimeConv(nn.Module):
    """A gated dilated convolution along time, as a residual; zeros stand beyond both ends."""

    def __init__(self, n_features: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.norm = nn.LayerNorm(n_features)
        self.gate = nn.Linear(3 * n_features, 2 * n_features)
        self.out = nn.Linear(n_features, n_features)

    def forward(self, x: Tensor) -> Tensor:
        """``(bands, batch, frames, features)``, the same shape out."""
        d = self.dilation
        padded = functional.pad(self.norm(x), (0, 0, d, d))
        taps = torch.cat([padded[..., : -2 * d, :], padded[..., d:-d, :], padded[..., 2 * d :, :]], -1)
        value, gate = self.gate(taps).chunk(2, -1)
        change: Tensor = self.out(value * torch.sigmoid(gate))
        return x + change


class BandMixer(nn.Module):
    """A bidirectional LSTM along the bands of each frame, as a residual."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(n_features)
        self.lstm = nn.LSTM(n_features, n_features, bidirectional=True)
        self.out = nn.Linear(2 * n_features, n_features)

    def forward(self, x: Tensor) -> Tensor:
        """``(bands, batch, frames, features)``, the same shape out."""
        rows = self.norm(x).flatten(1, 2)
        # on a GPU autocast gives the LSTM float16, whatever it is told, and gradients are smaller than that
        with torch.autocast("cuda", enabled=False) if x.is_cuda else nullcontext():
            rows = self.lstm(rows.float() if x.is_cuda else rows)[0]
        mixed: Tensor = self.out(rows)
        return x + mixed.reshape(x.shape)


class BandSplit(SeparationNetwork):
    """Masks of several targets from the STFT of a stereo mixture.

    Parameters
    ----------
    n_features : int
        Width of each band's description.
    n_layers : int
        Pairs of time and band layers.
    dilations : sequence of int
        Dilations of the convolutions along time, two per layer; their sum is the reach in frames.
    mask : str
        "softmax": the masks of all targets sum to one; "sigmoid": each is free in [0, 1].
    loss : str
        What training lowers: "log_energy", "l1", or "log_energy+waveform" (the mean of both).
    target : str
        The one target whose loss counts, as in fine-tuning; "" counts all.
    targets : sequence of str
        What is separated, two or more.
    attenuation_db : float
        How much softer than it is the network hears the mixture, 0 to 60: what is faint comes nearer to its
        floor and counts less.
    """

    name = "bandsplit"
    ends = ("encode", "decode")
    n_bins = SPEC.n_bins
    _widths: Tensor

    def __init__(
        self,
        *,
        n_features: int = 64,
        n_layers: int = 6,
        dilations: Sequence[int] = (1, 2, 4, 8, 1, 4, 2, 16, 1, 2, 1, 4),
        mask: str = "softmax",
        loss: str = "log_energy",
        target: str = "",
        targets: Sequence[str] = TARGETS,
        attenuation_db: float = 0.0,
    ) -> None:
        super().__init__()
        self.targets = checked_targets(targets)
        for value, choices in ((mask, MASKS), (loss, LOSSES), (target, ("", *self.targets))):
            if value not in choices:
                raise ValueError(f"{value!r} is none of {', '.join(filter(None, choices))}")
        if not 0 <= attenuation_db <= 60:
            raise ValueError(f"attenuation_db is {attenuation_db}; it must be from 0 to 60")
        self.n_targets, self.n_channels = len(self.targets), 2
        self.layout = BandLayout()
        if len(dilations) < 2 * n_layers:
            raise ValueError(f"{n_layers} layers need {2 * n_layers} dilations, not {len(dilations)}")
        if not all(isinstance(dilation, int) and dilation > 0 for dilation in dilations):
            raise ValueError(f"dilations are whole frames, at least 1, not {dilations}")
        self.dilations = tuple(dilations[: 2 * n_layers])
        self.options = {"n_features": n_features, "n_layers": n_layers, "dilations": list(self.dilations)}
        self.options |= {"mask": mask, "loss": loss, "target": target, "targets": list(self.targets)}
        self.options |= {"attenuation_db": attenuation_db}
        self.encode = nn.ModuleList(BandLinear(n, 4 * w, n_features) for n, w in self.layout.bands)
        self.time = nn.ModuleList(TimeConv(n_features, d) for d in self.dilations)
        self.band = nn.ModuleList(BandMixer(n_features) for _ in range(n_layers))
        self.norm = nn.LayerNorm(n_features)
        outputs = self.n_targets * self.n_channels
        self.hidden = BandLinear(self.layout.n_bands, n_features, 2 * n_features)
        self.decode = nn.ModuleList(BandLinear(n, 2 * n_features, outputs * w) for n, w in self.layout.bands)
        # an attenuation is as if the rows had more bins; models already keep the name
        widths = self.layout.widths().unsqueeze(-1) * 10 ** (attenuation_db / 10)
        self.register_buffer("_widths", widths, persistent=False)

    @property
    def reach_frames(self) -> int:
        """Frames on each side that can change a mask."""
        return sum(self.dilations)

    def loss(self, stems: Tensor, known: Tensor, colours: Tensor) -> Tensor:
        """The chosen loss in decibels against the mixture; see `precision` for what the network works in."""
        wanted, target = self.options["loss"], self.options["target"]
        if target:
            known = known * (torch.arange(self.n_targets, device=known.device) == self.targets.index(target))
        with torch.no_grad():
            batch = make_batch(self.layout, stems, known, colours, keep_spectra=wanted != "log_energy")
        with autocast(stems.device.type):
            masks = self.masks(batch.powers)
        if wanted == "l1":
            return l1_loss(masks, batch, self.layout)
        loss = log_energy_loss(masks, batch)
        return loss if wanted == "log_energy" else 0.5 * (loss + waveform_loss(masks, batch, self.layout))

    def grown(self, weights: dict[str, Tensor], targets: Sequence[str]) -> dict[str, Tensor]:
        """Weights of a network with fewer layers, a whole number of times as narrow, or of other targets."""
        own, end = self.state_dict(), "decode.0.bias"
        grown = deepen(widen(weights, own), own)
        if end in grown and grown[end].shape == own[end].shape and set(targets) < set(self.targets):
            return grown  # an export of some of the targets of one softmax holds the masks of all
        return grown if tuple(targets) == self.targets else retarget(grown, own, targets, self.targets)

    def attenuated(self, attenuation_db: float) -> "BandSplit":
        """The same weights in a network that hears the mixture so much softer."""
        network = BandSplit(**self.options | {"attenuation_db": attenuation_db})
        network.load_state_dict(self.state_dict())
        return network.eval()

    @torch.inference_mode()
    def estimates(self, mixture: Tensor) -> Tensor:
        """Waveforms of all targets in a song; they sum to the mixture where the masks sum to one."""
        spectrum = whole_transform(mixture)
        masks = self(as_input(spectrum[None]))[0]
        return inverse(masks * spectrum, mixture.shape[-1])

    def forward(self, mixture: Tensor) -> Tensor:
        """Masks of all targets.

        Parameters
        ----------
        mixture : Tensor, shape (batch, 4, bins, frames)
            STFT of the mixture: left real, left imaginary, right real, right imaginary.

        Returns
        -------
        Tensor, shape (batch, targets, 2, bins, frames)
            Masks in [0, 1]; those of a softmax sum to one over the targets.
        """
        return self.layout.expand(self.masks(self.powers(mixture)))

    def powers(self, mixture: Tensor) -> Tensor:
        """Powers of left, right, mid, side: ``(batch, 4, bins, frames) -> (batch, 4, compact, frames)``."""
        left_re, left_im, right_re, right_im = mixture.unbind(1)
        left, right = left_re.square() + left_im.square(), right_re.square() + right_im.square()
        side = ((left_re - right_re).square() + (left_im - right_im).square()) / 2
        return four_powers(*(self.layout.gather(each) for each in (left, right, side)))

    def masks(self, powers: Tensor) -> Tensor:
        """Masks on the compact axis.

        Parameters
        ----------
        powers : Tensor, shape (batch, 4, compact, frames)
            What `powers` returns.

        Returns
        -------
        Tensor, shape (batch, targets, 2, compact, frames)
        """
        # decibels / 20 around the level of music; the floor is far below a 16-bit rounding error
        x = 0.5 * torch.log10(powers / self._widths + 1e-4)
        x = self._encode(x.permute(2, 0, 3, 1))  # (compact, batch, frames, 4)
        for index, band in enumerate(self.band):
            x = band(self.time[2 * index + 1](self.time[2 * index](x)))
        logits = self._decode(self.norm(x))  # (compact, batch, frames, targets * 2)
        logits = torch.unflatten(logits, -1, (self.n_targets, self.n_channels))
        is_softmax = self.options["mask"] == "softmax"
        masks = torch.softmax(logits.float(), -2) if is_softmax else torch.sigmoid(logits.float())
        return masks.permute(1, 3, 4, 0, 2)

    def _encode(self, x: Tensor) -> Tensor:
        """``(compact, batch, frames, 4) -> (bands, batch, frames, features)``."""
        bands, start = [], 0
        for (count, width), linear in zip(self.layout.bands, self.encode, strict=True):
            part = torch.unflatten(x[start : start + count * width].flatten(1, 2), 0, (count, width))
            bands.append(linear(part.transpose(1, 2).flatten(2)))  # (count, batch * frames, features)
            start += count * width
        return torch.unflatten(torch.cat(bands), 1, x.shape[1:3])

    def _decode(self, x: Tensor) -> Tensor:
        """``(bands, batch, frames, features) -> (compact, batch, frames, targets * channels)``."""
        hidden = torch.tanh(self.hidden(x.flatten(1, 2)))
        parts = []
        # split, not slices: their gradients would each be as large as the whole
        runs = torch.split(hidden, [count for count, _ in self.layout.bands])
        for (_, width), run, linear in zip(self.layout.bands, runs, self.decode, strict=True):
            part = torch.unflatten(linear(run), 2, (width, -1))  # (count, batch * frames, width, out)
            parts.append(part.transpose(1, 2).flatten(0, 1))
        return torch.unflatten(torch.cat(parts), 1, x.shape[1:3])
