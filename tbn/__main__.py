"""``python -m tbn``: the command line."""

from tbn.cli import main

main()
