"""The band-split network: bands of the spectrum, processed along time and along bands alternately.

After Y. Luo and J. Yu, "Music Source Separation With Band-Split RNN", IEEE/ACM TASLP 31, 2023, with three
changes. Layers along time are dilated convolutions: the receptive field is finite, so a song can be cut into
chunks with context without changing a mask. Above about 4 kHz, 32 bins share one mask. The masks of all
targets come from one softmax, so they sum to one.

Inside the network the frequency axis is *compact*: ``n_low`` single bins, then groups of bins. Bands are the
first axis, as the layers along bands and the layers of single bands need them; no layer has to transpose.
"""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional

from stemsplit.training import SPEC, TARGETS
from stemsplit.training.networks.bands import BandLayout, stereo_powers
from stemsplit.training.networks.base import SeparationNetwork, check_targets
from stemsplit.training.networks.loss import l1_loss, log_energy_loss, waveform_loss
from stemsplit.training.networks.precision import autocast
from stemsplit.training.networks.spectra import centred_stft, inverse_stft, make_batch, to_input, turn
from stemsplit.training.networks.widening import deepen, retarget, widen

MASKS = ("softmax", "sigmoid")
LOSSES = ("log_energy", "l1", "log_energy+waveform")
CHANNELS = ("left-right", "mid-side")


class BandLinear(nn.Module):
    """Separate linear layers for each of several equally wide bands."""

    def __init__(self, n_bands: int, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_bands, n_in, n_out) / n_in**0.5)
        self.bias = nn.Parameter(torch.zeros(n_bands, 1, n_out))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(bands, rows, n_in)`` to ``(bands, rows, n_out)``."""
        return torch.matmul(x, self.weight) + self.bias


class TimeConv(nn.Module):
    """A gated dilated convolution along time with a residual connection; both ends are padded with zeros."""

    def __init__(self, n_features: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.norm = nn.LayerNorm(n_features)
        self.gate = nn.Linear(3 * n_features, 2 * n_features)
        self.out = nn.Linear(n_features, n_features)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(bands, batch, frames, features)`` to the same shape."""
        d = self.dilation
        return x + self._change(functional.pad(self.norm(x), (0, 0, d, d)))

    def stream(
        self, x: Tensor, present: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Map the next frames to those of `dilation` frames ago.

        Parameters
        ----------
        x : Tensor, shape (bands, batch, frames, features)
            The next frames.
        present : Tensor, shape (batch, frames, 1)
            One for frames of the song, zero for those before its first and after its last.
        state : tuple of two Tensors, shapes (bands, batch, 2 * dilation or dilation, features)
            Zeros at the beginning, then what the last call gave.
        """
        d = self.dilation
        normed = torch.cat([state[0], self.norm(x) * present], -2)
        held = torch.cat([state[1], x], -2)
        late = held[..., :-d, :] + self._change(normed)
        return late, (normed[..., -2 * d :, :], held[..., -d:, :])

    def _change(self, padded: Tensor) -> Tensor:
        """Map normalised frames to what is added to all but the first and last `dilation` of them."""
        d = self.dilation
        taps = torch.cat([padded[..., : -2 * d, :], padded[..., d:-d, :], padded[..., 2 * d :, :]], -1)
        value, gate = self.gate(taps).chunk(2, -1)
        change: Tensor = self.out(value * torch.sigmoid(gate))
        return change


class BandMixer(nn.Module):
    """A bidirectional LSTM along the bands of each frame, with a residual connection."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(n_features)
        self.lstm = nn.LSTM(n_features, n_features, bidirectional=True)
        self.out = nn.Linear(2 * n_features, n_features)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(bands, batch, frames, features)`` to the same shape."""
        flat = self.norm(x).flatten(1, 2)
        # on a GPU, autocast runs the LSTM in float16, which underflows its gradients
        with torch.autocast("cuda", enabled=False) if x.is_cuda else nullcontext():
            flat = self.lstm(flat.float() if x.is_cuda else flat)[0]
        mixed: Tensor = self.out(flat)
        return x + mixed.reshape(x.shape)


class BandSplit(SeparationNetwork):
    """Estimates masks of several targets from the STFT of a stereo mixture.

    Parameters
    ----------
    n_features : int
        Number of features of each band.
    n_layers : int
        Number of layers; each has two convolutions along time and an LSTM along bands.
    dilations : sequence of int
        Dilations of the convolutions along time, two per layer; their sum is `reach_frames`.
    mask : str
        "softmax": the masks of all targets sum to one; "sigmoid": each is free in [0, 1].
    loss : str
        The loss: "log_energy", "l1", or "log_energy+waveform" (the mean of both).
    target : str
        Target whose loss counts, for fine-tuning; "" counts all targets.
    targets : sequence of str
        Targets, two or more.
    attenuation_db : float
        Attenuation of the mixture at the input, 0 to 60 dB: faint components come closer to the
        floor of the features and have less influence.
    hidden_features : int
        Features between the layers and the masks; 0 is twice `n_features`. Networks of many targets are
        smaller with fewer.
    channels : str
        What the masks are for, and the STFT that `forward` takes: "left-right" or "mid-side".
    """

    name = "bandsplit"
    end_modules = ("encode", "decode")
    summary = "a band-split network"
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
        hidden_features: int = 0,
        channels: str = "left-right",
    ) -> None:
        super().__init__()
        self.targets = check_targets(targets)
        for value, choices in (
            (mask, MASKS),
            (loss, LOSSES),
            (target, ("", *self.targets)),
            (channels, CHANNELS),
        ):
            if value not in choices:
                raise ValueError(f"{value!r} is not one of {', '.join(filter(None, choices))}")
        if not 0 <= attenuation_db <= 60:
            raise ValueError(f"attenuation_db is {attenuation_db}; it must be from 0 to 60")
        self.n_targets, self.n_channels = len(self.targets), 2
        self.layout = BandLayout()
        if len(dilations) < 2 * n_layers:
            raise ValueError(f"{n_layers} layers need {2 * n_layers} dilations, not {len(dilations)}")
        if not all(isinstance(dilation, int) and dilation > 0 for dilation in dilations):
            raise ValueError(f"dilations must be whole frames, at least 1, not {dilations}")
        self.dilations = tuple(dilations[: 2 * n_layers])
        self.options = {"n_features": n_features, "n_layers": n_layers, "dilations": list(self.dilations)}
        self.options |= {"mask": mask, "loss": loss, "target": target, "targets": list(self.targets)}
        self.options |= {"attenuation_db": attenuation_db}
        if hidden_features:  # earlier checkpoints do not name it
            self.options["hidden_features"] = hidden_features
        self.is_mid_side = channels == "mid-side"
        if self.is_mid_side:
            self.options["channels"] = channels
        self.encode = nn.ModuleList(BandLinear(n, 4 * w, n_features) for n, w in self.layout.bands)
        self.time = nn.ModuleList(TimeConv(n_features, d) for d in self.dilations)
        self.band = nn.ModuleList(BandMixer(n_features) for _ in range(n_layers))
        self.norm = nn.LayerNorm(n_features)
        outputs, n_hidden = self.n_targets * self.n_channels, hidden_features or 2 * n_features
        self.hidden = BandLinear(self.layout.n_bands, n_features, n_hidden)
        self.decode = nn.ModuleList(BandLinear(n, n_hidden, outputs * w) for n, w in self.layout.bands)
        # an attenuation acts like wider groups; existing models contain the buffer under this name
        widths = self.layout.widths().unsqueeze(-1) * 10 ** (attenuation_db / 10)
        self.register_buffer("_widths", widths, persistent=False)

    @property
    def reach_frames(self) -> int:
        """Frames on each side that influence a mask (half of the receptive field)."""
        return sum(self.dilations)

    def loss(self, stems: Tensor, known: Tensor, eq_gains: Tensor) -> Tensor:
        """Return the chosen loss in dB relative to the mixture; see `precision` for the arithmetic used."""
        wanted, target = self.options["loss"], self.options["target"]
        if target:
            known = known * (torch.arange(self.n_targets, device=known.device) == self.targets.index(target))
        with torch.no_grad():
            stems = turn(stems) if self.is_mid_side else stems
            batch = make_batch(
                self.layout,
                stems,
                known,
                eq_gains,
                is_mid_side=self.is_mid_side,
                keep_spectra=wanted != "log_energy",
            )
        with autocast(stems.device.type):
            masks = self.masks(batch.powers)
        if wanted == "l1":
            return l1_loss(masks, batch, self.layout)
        loss = log_energy_loss(masks, batch)
        return loss if wanted == "log_energy" else 0.5 * (loss + waveform_loss(masks, batch, self.layout))

    def adapt_weights(self, weights: dict[str, Tensor], targets: Sequence[str]) -> dict[str, Tensor]:
        """Convert weights of a network with fewer layers, of a fraction of the width, or of other targets."""
        own, end = self.state_dict(), "decode.0.bias"
        adapted = deepen(widen(weights, own), own)
        if "hidden.bias" in adapted and adapted["hidden.bias"].shape != own["hidden.bias"].shape:
            # the step from features to masks has another width and starts afresh, so later layers may go
            return {n: own[n] if n.startswith(("hidden.", "decode.")) else adapted[n] for n in own}
        if end in adapted and adapted[end].shape == own[end].shape and set(targets) < set(self.targets):
            return adapted  # an export of some targets of a softmax contains the masks of all
        return adapted if tuple(targets) == self.targets else retarget(adapted, own, targets, self.targets)

    def with_attenuation(self, attenuation_db: float) -> "BandSplit":
        """Return a network of the same weights that attenuates its input by so many decibels."""
        network = BandSplit(**self.options | {"attenuation_db": attenuation_db})
        network.load_state_dict(self.state_dict())
        return network.eval()

    @torch.inference_mode()
    def estimates(self, mixture: Tensor) -> Tensor:
        """Return waveforms of all targets of a song; they sum to the mixture if the masks sum to one."""
        spectrum = centred_stft(turn(mixture) if self.is_mid_side else mixture)
        masks = self(to_input(spectrum[None]))[0]
        found = inverse_stft(masks * spectrum, mixture.shape[-1])
        return turn(found) if self.is_mid_side else found

    def forward(self, mixture: Tensor) -> Tensor:
        """Compute the masks of all targets.

        Parameters
        ----------
        mixture : Tensor, shape (batch, 4, bins, frames)
            STFT of the mixture: left real, left imaginary, right real, right imaginary; or mid and side in
            their places.

        Returns
        -------
        Tensor, shape (batch, targets, 2, bins, frames)
            Masks in [0, 1]; those of a softmax sum to one over the targets.
        """
        return self.layout.expand(self.masks(self.powers(mixture)))

    def powers(self, mixture: Tensor) -> Tensor:
        """Compute the powers of left, right, mid and side.

        ``(batch, 4, bins, frames) -> (batch, 4, compact, frames)``.
        """
        first_re, first_im, second_re, second_im = mixture.unbind(1)
        first, second = first_re.square() + first_im.square(), second_re.square() + second_im.square()
        difference = ((first_re - second_re).square() + (first_im - second_im).square()) / 2
        gathered = (self.layout.gather(each) for each in (first, second, difference))
        return stereo_powers(*gathered, is_mid_side=self.is_mid_side)

    def masks(self, powers: Tensor) -> Tensor:
        """Compute the masks on the compact axis.

        Parameters
        ----------
        powers : Tensor, shape (batch, 4, compact, frames)
            Output of `powers`.

        Returns
        -------
        Tensor, shape (batch, targets, 2, compact, frames)
        """
        x = self._encode(powers)
        for index, band in enumerate(self.band):
            x = band(self.time[2 * index + 1](self.time[2 * index](x)))
        return self._compute_masks(x)

    def stream(self, mixture: Tensor, present: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the compact masks of a song piece by piece, see `stemsplit.models.mask_stream`.

        Parameters
        ----------
        mixture : Tensor, shape (batch, 4, bins, frames)
            The next frames, as of `forward`.
        present : Tensor, shape (batch, reach_frames + frames)
            One for frames of the song, zero for those before its first and after its last: of the frames of
            `mixture`, and of as many before them as the reach.
        state : Tensor, shape (batch, bands, 3 * reach_frames, features)
            Zeros at the beginning, then what the last call gave.

        Returns
        -------
        masks : Tensor, shape (batch, targets, 2, compact, frames)
            Masks of the frames of `reach_frames` ago.
        state : Tensor
            For the next call.
        """
        x = self._encode(self.powers(mixture))
        lengths = [length for d in self.dilations for length in (2 * d, d)]
        states = list(torch.split(state.transpose(0, 1), lengths, dim=-2))
        n_late, present = 0, present.unsqueeze(-1)
        for index, layer in enumerate(self.time):
            assert isinstance(layer, TimeConv)
            # from behind, so that the exported graph need not compute the end
            there = present[:, self.reach_frames - n_late : -n_late or None]
            own = slice(2 * index, 2 * index + 2)
            past = (states[own.start], states[own.start + 1])
            x, states[own] = layer.stream(x, there, past)
            n_late += self.dilations[index]
            if index % 2:
                x = self.band[index // 2](x)
        return self._compute_masks(x), torch.cat(states, -2).transpose(0, 1)

    def _compute_masks(self, x: Tensor) -> Tensor:
        """Map ``(bands, batch, frames, features)`` to ``(batch, targets, 2, compact, frames)``."""
        logits = self._decode(self.norm(x))  # (compact, batch, frames, targets * 2)
        logits = torch.unflatten(logits, -1, (self.n_targets, self.n_channels))
        is_softmax = self.options["mask"] == "softmax"
        masks = torch.softmax(logits.float(), -2) if is_softmax else torch.sigmoid(logits.float())
        return masks.permute(1, 3, 4, 0, 2)

    def _encode(self, powers: Tensor) -> Tensor:
        """Map ``(batch, 4, compact, frames)`` to ``(bands, batch, frames, features)``."""
        # decibels / 20 around the level of music; the floor is 26 dB above the power that rounding to 16 bits
        # has in a bin (2.4e-7), and above that by `attenuation_db`
        x = 0.5 * torch.log10(powers / self._widths + 1e-4)
        x = x.permute(2, 0, 3, 1)  # (compact, batch, frames, 4)
        bands, start = [], 0
        for (count, width), linear in zip(self.layout.bands, self.encode, strict=True):
            part = torch.unflatten(x[start : start + count * width].flatten(1, 2), 0, (count, width))
            bands.append(linear(part.transpose(1, 2).flatten(2)))  # (count, batch * frames, features)
            start += count * width
        return torch.unflatten(torch.cat(bands), 1, x.shape[1:3])

    def _decode(self, x: Tensor) -> Tensor:
        """Map ``(bands, batch, frames, features)`` to ``(compact, batch, frames, targets * channels)``."""
        hidden = torch.tanh(self.hidden(x.flatten(1, 2)))
        parts = []
        # split rather than slices, whose gradients would each be as large as the whole
        runs = torch.split(hidden, [count for count, _ in self.layout.bands])
        for (_, width), run, linear in zip(self.layout.bands, runs, self.decode, strict=True):
            part = torch.unflatten(linear(run), 2, (width, -1))  # (count, batch * frames, width, out)
            parts.append(part.transpose(1, 2).flatten(0, 1))
        return torch.unflatten(torch.cat(parts), 1, x.shape[1:3])
