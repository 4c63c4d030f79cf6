"""`python -m spantriage`."""

from spantriage.cli import main

if __name__ == "__main__":
    main()
