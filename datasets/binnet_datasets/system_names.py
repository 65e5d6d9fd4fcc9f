"""Names of hidden files and of what systems, cameras and network disks leave beside photos."""

from __future__ import annotations

_NAMES = frozenset(
    (
        "@eadir",  # Synology: a thumbnail of every photo
        "@recycle",
        "#recycle",
        "@recently-snapshot",
        "#snapshot",
        "$recycle.bin",
        "recycler",
        "system volume information",
        "__macosx",
        "lost+found",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "picasa.ini",
    )
)
_STARTS = ("synophoto_thumb", "synofile_thumb")


def is_system_name(name: str) -> bool:
    """Tell whether a file or folder of this name is hidden, or belongs to a system and holds no photos of a person.

    Parameters
    ----------
    name : of one file or folder, without what is before it
    """
    plain = name.casefold()
    return (name.startswith(".") and name not in (".", "..")) or plain in _NAMES or plain.startswith(_STARTS)
