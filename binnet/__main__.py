"""``python -m binnet`` is ``binnet``."""

import sys

from .cli import main

sys.exit(main())
