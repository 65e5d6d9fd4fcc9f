"""Choice of the validation images: those of the source or of another place, or a share of the training images."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import DataError
from . import label_files
from .archives import is_archive
from .layouts import Entry, check_known, find_val, match_classes
from .members import Member, Members

# Bytes at each end of a file that decide on which side of the split it is; whole files would take a pass over the data.
_ENDS = 1 << 14


def parse_val(words: Sequence[str]) -> tuple[float | None, Path | None, Path | None]:
    """The share, the folder or archive, and the file of classes that ``--val`` names, each None when not named."""
    share, images, truth = None, None, None
    for word in words:
        path = Path(os.path.expanduser(word))
        try:
            number = None if path.exists() else float(word)  # a folder may be called 0.1
        except ValueError:
            raise DataError(
                f"expected a share, a folder, an archive or a file as val, but there is no {word}"
            ) from None
        if number is not None:
            if not 0 < number < 1:
                raise DataError(f"expected a share of the training images between 0 and 1 as val, but got {word}")
            share = number
        elif path.is_dir() or is_archive(path):
            images = path
        else:
            truth = path
    if len(words) != sum(found is not None for found in (share, images, truth)) or (share and len(words) > 1):
        raise DataError(
            f"expected a share alone, or one folder or archive and one file as val, but got {' '.join(words)}"
        )
    return share, images, truth


def labelled(
    found: list[Entry],
    members: Members,
    classes: set[str],
    places: tuple[Path, Path | None],
    truth: Path | None,
) -> list[Entry]:
    """Give validation images their classes.

    Parameters
    ----------
    found : validation images of the source, with the names of the folders they are in
    members : the files of the folder or archive that they are in
    classes : ids of the training images
    places : the source, and the folder or archive of other validation images or None
    truth : file of the classes

    Raises
    ------
    DataError
        When there are no classes for them, or others than those of the training images.
    """
    source, elsewhere = places
    if elsewhere is not None:
        found = find_val(members, classes, elsewhere)
    elif truth is not None and not found:
        raise DataError(f"expected validation images in {source} for the classes in {truth}, but there are none")
    elif found:
        matched = match_classes(found, classes, source)
        # None: no folder is named after a class, as in Tiny-ImageNet, where they lie in val/images.
        found = [replace(entry, class_id="") for entry in found] if matched is None else matched
    if all(entry.class_id for entry in found):
        return found
    found = with_truth(found, members, truth, [elsewhere or source, source])
    check_known({entry.class_id for entry in found}, classes)
    return found


def with_truth(
    found: list[Entry], members: Mapping[str, Member], given: Path | None, beside: Sequence[Path]
) -> list[Entry]:
    """Give images the classes of a file of classes: the one given, one among the files, or one beside the sources."""
    ids = _truth([entry.name for entry in found], members, given, beside)
    return [replace(entry, class_id=ids[entry.name]) for entry in found]


def has_truth(members: Mapping[str, Member], beside: Sequence[Path]) -> bool:
    """Tell whether there is a file of classes among the files or beside the sources."""
    names = label_files.TRUTH_FILES
    return bool(label_files.find(members, names)) or any(label_files.beside(path, names) for path in beside)


def _truth(
    images: list[str], members: Mapping[str, Member], given: Path | None, beside: Sequence[Path]
) -> dict[str, str]:
    """The class of each validation image that is in no class folder."""
    name = None if given else label_files.find(members, label_files.TRUTH_FILES)
    member = members[name] if name else None
    for path in () if name or given else beside:
        member = member or label_files.beside(path, label_files.TRUTH_FILES)
    if given is not None:
        name, member = str(given), label_files.whole_file(given)
    if member is None:
        raise DataError(
            f"expected the classes of {len(images):,} validation images, such as {images[0]}, from folders with the "
            f"names of the training classes or from {', '.join(label_files.TRUTH_FILES)}, but there is none of these; "
            "name the file with --val FILE, or hold out training images with --val 0.1"
        )

    def meta() -> Member | None:
        inside = label_files.find(members, ("meta.mat",))
        found = label_files.beside(Path(member.path), ("meta.mat",)) if not inside else members[inside]
        return found or next(filter(None, (label_files.beside(path, ("meta.mat",)) for path in beside)), None)

    return label_files.truth(name or member.path, label_files.read_text(member), images, meta)


def hold_out(train: list[Entry], share: float, seed: int) -> tuple[list[Entry], list[Entry]]:
    """Hold a share of the images out of training, chosen by the content of each file and the seed.

    An image added later thus changes nothing for the others, and equal files go to the same side. Of each class at
    least one image is held out, and never all; the only image of a class stays. Of a class whose files are all equal
    the first is held out.
    """
    values = [_value(entry.member, seed) for entry in train]
    places: dict[str, list[int]] = {}
    for place, entry in enumerate(train):
        places.setdefault(entry.class_id, []).append(place)
    held: set[int] = set()
    for own in places.values():
        low, high = min(values[i] for i in own), max(values[i] for i in own)
        held.update(own[:1] if low == high and len(own) > 1 else ())
        # The least value is always held out and the greatest never, so that neither side is empty.
        held.update(i for i in own if (values[i] < share or values[i] == low) and values[i] < high)
    return ([e for i, e in enumerate(train) if i not in held], [e for i, e in enumerate(train) if i in held])


def _value(member: Member, seed: int) -> float:
    """A hash from 0 to 1 of a file's size, both of its ends and the seed; 1 when the file cannot be read."""
    digest = hashlib.blake2b(f"{seed} {member.size} ".encode(), digest_size=8)
    try:
        digest.update(member.part(0, _ENDS))
        digest.update(member.part(max(0, member.size - _ENDS), _ENDS))
    except OSError:
        return 1.0
    return int.from_bytes(digest.digest(), "big") / 2**64
