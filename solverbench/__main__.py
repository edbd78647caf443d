"""`python -m solverbench` is the command `solverbench`."""

from solverbench.cli import main

if __name__ == "__main__":
    main()
