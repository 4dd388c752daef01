"""Train, export and judge the network of a student work: ``python reproduce_work.py PRESET WORK OUT``.

WORK is a work folder of ``stemsplit.training``; with ``--library LIBRARY`` it is made from a training library
first. OUT gets the run, the model with its card and, with ``--evaluate FOLDER``, its scores on a data set.
Options that are not its own go to ``fit``. Everything may be interrupted and run again.
"""

import argparse
import subprocess
import sys
from pathlib import Path

TRAINING = (sys.executable, "-m", "stemsplit.training")
INPUTS = ("waveform", "binned-waveform", "spectrum", "binned-spectrum")  # of Boulter's presence test
ENSEMBLES = ("iyer", "ensemble")  # of 13 instruments, rendered from pieces
N_SONGS = 60  # of 40 s, where songs are rendered
N_ENSEMBLES = 104
ADVERSARIAL = ("gan-drums",)  # the second half of their minutes goes on against a discriminator


def run(*command: object) -> None:
    """Run a command, show it, and stop where it fails."""
    words = [str(word) for word in command]
    print("$", *words, file=sys.stderr, flush=True)
    subprocess.run(words, check=True)


def train(given: argparse.Namespace, fitted: Path, options: list[str]) -> None:
    """Train the network of the preset into the folder `fitted`."""
    is_adversarial = given.preset in ADVERSARIAL
    minutes = given.minutes / 2 if is_adversarial else given.minutes
    limits = ("--minutes", minutes, "--validate-minutes", max(0.1, minutes / 4))
    fit = (*TRAINING, "fit", "--work", given.work, "--preset", given.preset, *limits, *options)
    if not is_adversarial:
        run(*fit, fitted)
        return
    supervised = given.out / "supervised"
    # mixtures whose drums are not known serve the discriminator alone
    run(*fit, supervised, "--remix", "backing=0")
    run(*fit, fitted, "--init", supervised / "checkpoint.pt", "--adversary")


def reproduce_boulter(given: argparse.Namespace, options_of_fit: list[str]) -> None:
    """Train Boulter's networks, which share the minutes; tabulate and draw their figures; export two."""
    out, work = given.out, ("--work", given.work)

    def fit(name: str, share: float, *options: str) -> Path:
        minutes = max(0.01, share * given.minutes)
        limits = ("--minutes", f"{minutes:g}", "--validate-minutes", f"{minutes / 3:g}")
        fitted: Path = out / name
        run(*TRAINING, "fit", fitted, *work, *limits, *options, *options_of_fit)
        return fitted

    presence = [
        fit(f"presence-{each}", 0.1, "--preset", "boulter-presence", "--option", f"input={each}")
        for each in INPUTS
    ]
    dense = [
        fit(f"dense-{mu:g}", 0.15 / len(given.mu), "--preset", "boulter-dense", "--option", f"mu={mu:g}")
        for mu in given.mu
    ]
    conv = fit("conv", 0.1, "--preset", "boulter-conv")
    denoise = fit("denoise", 0.35, "--preset", "boulter-denoise")
    run(*TRAINING, "figures", *presence, *work)
    run(*TRAINING, "figures", *dense, conv, denoise, *work)
    run(*TRAINING, "sweep", out / "mu.png", *dense, "--option", "mu")
    for fitted, name in ((denoise, "boulter-drums"), (presence[-1], "drum-presence")):
        model = out / f"{name}.onnx"
        run(*TRAINING, "export", fitted, model)
        run(*TRAINING, "card", fitted, *work, "--model", model, "--hardware", given.hardware)
    if given.evaluate:
        judge(out / "boulter-drums.toml", given)


def judge(model: Path, given: argparse.Namespace) -> None:
    """Score a model on a data set."""
    evaluate = (sys.executable, "-m", "stemsplit", "evaluate", given.evaluate)
    run(*evaluate, "--model", model, "-o", given.out / "evaluation")


def main() -> None:
    """Run the steps in their order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("preset", help="lstm, dann, gan-drums, iyer or ensemble; or boulter, for all of his")
    parser.add_argument("work", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=40.0)
    parser.add_argument("--library", type=Path)
    parser.add_argument("--songs", type=int, help=f"default: {N_SONGS}, or {N_ENSEMBLES} ensembles")
    parser.add_argument("--evaluate", type=Path, metavar="FOLDER")
    parser.add_argument("--hardware", default="two processor cores")
    parser.add_argument("--mu", type=float, nargs="+", default=[1 / 32, 1 / 8, 1 / 4, 1 / 2])
    given, options_of_fit = parser.parse_known_args()
    fitted, model = given.out / "run", given.out / f"{given.preset}.onnx"
    if given.library:
        render, songs = ("ensembles", N_ENSEMBLES) if given.preset in ENSEMBLES else ("prepare", N_SONGS)
        run(*TRAINING, render, given.library, "--work", given.work, "--songs", given.songs or songs)
    if given.preset == "boulter":
        reproduce_boulter(given, options_of_fit)
        return
    train(given, fitted, options_of_fit)
    if given.preset == "iyer":
        run(*TRAINING, "identity", fitted, "--work", given.work)
    run(*TRAINING, "export", fitted, model)
    run(
        *(*TRAINING, "card", fitted, "--work", given.work),
        *("--model", model, "--hardware", given.hardware),
    )
    if given.evaluate:
        judge(model.with_suffix(".toml") if model.with_suffix(".toml").exists() else model, given)


if __name__ == "__main__":
    main()
