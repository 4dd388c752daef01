"""Separate many songs in a pool of processes: ``python process_pool.py OUTPUT song.mp3 ...``.

A separator is sent to the processes by its settings; each opens its own models.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from stemsplit import FileResult, Separator, StemsplitError, separate_file

N_PROCESSES = 2


def separate(separator: Separator, output: str, song: str) -> FileResult | StemsplitError:
    """Separate one song; an error is returned, so that it does not stop the others."""
    try:
        return separate_file(separator, song, output, name="{track}/{stem}.{ext}", overwrite=True)
    except StemsplitError as error:
        return error


def main(output: str, *songs: str) -> int:
    """Separate `songs` into folders of `output`; return the exit code."""
    separator = Separator(["vocals"], residual=True, device="cpu", threads=1)
    work = partial(separate, separator, output)
    failed = 0
    with ProcessPoolExecutor(N_PROCESSES, mp_context=get_context("spawn")) as pool:
        for song, result in zip(songs, pool.map(work, songs), strict=True):
            if isinstance(result, StemsplitError):
                failed += 1
                print(f"{song}: {result}", file=sys.stderr)
            else:
                print(*result.outputs.values(), sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
