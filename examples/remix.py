"""Write a song again with its vocals 6 dB quieter: ``python remix.py song.mp3 remix.wav``."""

import sys

import soundfile

import stemsplit

GAIN_DB = -6.0


def main(song: str, remix: str) -> None:
    """Separate `song` into arrays, turn the vocals down, and write the sum."""
    stems = stemsplit.separate(song)
    stems["vocals"] *= 10 ** (GAIN_DB / 20)
    soundfile.write(remix, stemsplit.sum_stems(stems).T, stems.sample_rate)


if __name__ == "__main__":
    main(*sys.argv[1:])
