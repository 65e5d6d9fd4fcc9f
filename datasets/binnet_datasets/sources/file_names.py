"""Recognition of images by name, and of files that systems, cameras and network disks leave beside photographs."""

from __future__ import annotations

# Images with these endings that `decoding.FORMATS` cannot read count as corrupt.
ENDINGS = (
    *(".jpeg", ".jpg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".webp"),
    *(".tif", ".tiff", ".avif", ".jp2", ".j2k"),
)
_NAMES = frozenset(
    (
        "@eadir",  # Synology: a thumbnail of every photo
        "@recycle",  # QNAP
        "#recycle",  # Synology
        "@recently-snapshot",  # QNAP
        "#snapshot",
        "$recycle.bin",  # Windows, and "recycler" before Vista
        "recycler",
        "system volume information",
        "__macosx",  # in zips from macOS, with a "photo" of a few bytes for each file
        "lost+found",  # what a repair of the file system found
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "picasa.ini",
    )
)
_STARTS = ("synophoto_thumb", "synofile_thumb")


def is_image(name: str) -> bool:
    """Tell from the ending whether a file is an image that can be read."""
    return name.lower().endswith(ENDINGS)


def is_system_name(name: str) -> bool:
    """Tell whether a file or folder of this name is hidden, or belongs to a system and not to the user.

    Parameters
    ----------
    name : name of one file or folder, without the folders it is in
    """
    plain = name.casefold()
    return (name.startswith(".") and name not in (".", "..")) or plain in _NAMES or plain.startswith(_STARTS)
