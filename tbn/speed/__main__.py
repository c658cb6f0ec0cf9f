"""``python -m tbn.speed``."""

import sys

from tbn.speed import main

if __name__ == "__main__":
    sys.exit(main())
