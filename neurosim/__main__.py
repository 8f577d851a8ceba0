"""``python -m neurosim``: the same as the command ``neurosim``."""

from neurosim.cli.app import main

if __name__ == "__main__":
    main()
