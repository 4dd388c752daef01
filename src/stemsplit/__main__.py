"""``python -m stemsplit``, and what the command ``stemsplit`` starts."""

import sys

_INTERRUPTED = 130  # as `stemsplit.result` has it, which is not there yet


def main() -> None:
    """Run the program; Ctrl-C ends it in one line also while its modules are being read."""
    try:
        from stemsplit.cli import main as run
    except KeyboardInterrupt:
        print("stemsplit: interrupted", file=sys.stderr)  # noqa: T201 - there is no console yet
        sys.exit(_INTERRUPTED)
    run()


if __name__ == "__main__":
    main()
