"""Training of stemsplit's models; needs the extra ``train`` and is never imported by inference.

Conventions: waveforms are float32 ``(channels, samples)`` at 44,100 Hz, stereo unless said otherwise;
stems stand in the order of a network's targets. Those of the bundled model are `TARGETS`.
"""

from stemsplit.dsp.stft import StftSpec

TARGETS = ("vocals", "drums", "bass", "other")
# The instruments of chamber ensembles, in the order of the scores.
ORCHESTRA = (
    "violin",
    "viola",
    "cello",
    "double_bass",
    "flute",
    "oboe",
    "clarinet",
    "saxophone",
    "bassoon",
    "trumpet",
    "horn",
    "trombone",
    "tuba",
)
SAMPLE_RATE = 44100
SPEC = StftSpec(n_fft=6144, hop_length=3072)
# What may be done with the training library, and with what the virtual band plays of it.
OPEN_DATA = "open only: CC0, public domain, CC-BY, MIT, BSD, Apache, free voicebanks"
