"""``python -m binnet.train`` is ``binnet train``."""

import sys

from ..cli import main

sys.exit(main(["train", *sys.argv[1:]]))
