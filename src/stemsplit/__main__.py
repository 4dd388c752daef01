"""``python -m stemsplit``."""

from stemsplit.cli import main

if __name__ == "__main__":
    main()
