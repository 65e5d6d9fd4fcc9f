"""Export of a packed model as one C99 file without dependencies.

``nodes`` turns the engine's stages into constants, maps and calls, ``arena`` places the maps, ``program`` joins all of
it with the C files of the folder ``runtime``, and ``output`` writes the files.
"""

from __future__ import annotations

from .output import Written, write
from .program import Settings, Source, generate

__all__ = ["Settings", "Source", "Written", "generate", "write"]
