"""Build an image store from a folder or archive of images."""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binnet_system.files import holes_are_free, replace
from binnet_system.machine import cores

from ..batching.prefetch import prefetch
from ..errors import DataError
from ..files import why
from ..images.decoding import decode, decoding_quietly, to_short_side
from ..images.histogram import Counts, count_levels, mean_std
from ..sources.layouts import Entry
from .file import data_start, write_around
from .images import Pixels, StoreImages
from .journal import Journal, Record, part_of
from .plan import BuildOptions, Plan, make_plan
from .reading import read_store
from .report import Report, found_at, report_of
from .twins import difference_hash, find_twins

Progress = Callable[[int, int], None]
Notes = Callable[[str], None]
Decoded = NDArray[np.uint8]
_Facts = tuple[Counts | None, bytes]

_AT_ONCE = 16  # images that a thread decodes per task
_MARGIN = 0.9  # the size of a store is estimated from a sample of its images, so only a clear lack of space is an error
_CORRUPT_SHARE, _CORRUPT_FEW = 0.01, 3  # a default share alone would allow no image at all of a small folder


def build_store(
    source: str | Path,
    out: str | Path,
    options: BuildOptions | None = None,
    *,
    max_corrupt: float | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
    notes: Notes | None = None,
) -> Report:
    """Decode, resize and store the images of a folder or archive; an interrupted build is resumed.

    The store's bytes depend on the sources and options alone, not on ``jobs`` or on interruptions. Images are rotated
    upright (EXIF) and converted to RGB or grey. They are resized, up or down, so that the short side has the size asked
    for; of an image longer than four times its short side only the middle is kept.

    Parameters
    ----------
    source : folder or archive (see `layouts`)
    out : path of the store; hidden files beside it hold the finished part until the store is complete
    options : which images are stored, and how
    max_corrupt : share of images that may fail to decode, 0 to 1; None for 1 %, but at least 3 images
    jobs : number of decoding threads, at least 1; None for one per core
    progress : called with (images done, images in all)
    notes : called with sentences for the user

    Raises
    ------
    DataError
        When the source cannot be used, too many images are corrupt, ``out`` is another file, or the disk is full. After
        a full disk the finished part is kept, and the next build resumes from it.
    """
    source, out = (Path(os.path.expanduser(path)) for path in (source, out))
    return build_planned(make_plan(source, options or BuildOptions()), out, max_corrupt, jobs, progress, notes)


def build_planned(
    plan: Plan,
    out: Path,
    max_corrupt: float | None,
    jobs: int | None,
    progress: Progress | None,
    notes: Notes | None,
    rebuild: bool = False,
) -> Report:
    """Build the store of a plan, see `build_store`; with ``rebuild``, a damaged store at ``out`` is replaced."""
    jobs = len(cores()) if jobs is None else jobs
    if jobs < 1 or (max_corrupt is not None and not 0 <= max_corrupt <= 1):
        raise DataError(f"expected jobs of at least 1 and max-corrupt from 0 to 1, but got {jobs} and {max_corrupt}")
    for note in plan.notes:
        _tell(notes, note)
    if (out.exists() or out.is_symlink()) and isinstance(found := found_at(out, plan.key, rebuild), Report):
        for note in found.notes:
            _tell(notes, note)
        return found
    if out.parent.exists() and not out.parent.is_dir():
        raise DataError(f"cannot write {out}: {out.parent} is no folder")
    total = len(plan.train) + len(plan.val)
    allowed = max(int(total * _CORRUPT_SHARE), _CORRUPT_FEW) if max_corrupt is None else int(total * max_corrupt)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _check_room(plan, out)
        waiting = _waiting(out, total, progress, notes)
        with Journal(out, plan.key, data_start(out.parent), plan.channels, waiting) as journal:
            if out.exists():  # checked again, now that no other process can be building it
                found = found_at(out, plan.key, rebuild)
                if isinstance(found, Report):  # another process has built it meanwhile
                    journal.remove()
                    return found
                _tell(notes, f"{found}; building it again")
                out.unlink()
            _Build(plan, out, journal, allowed).run(jobs, progress, notes)
    except OSError as error:
        kept = " (what is done is kept in hidden files beside it, and the same command goes on with it)"
        raise DataError(f"cannot write {out}: {why(error)}{kept if out.parent.is_dir() else ''}") from error
    report = report_of(out, plan.key, fresh=True)
    for note in report.notes:
        _tell(notes, note)
    return report


def _waiting(out: Path, total: int, progress: Progress | None, notes: Notes | None) -> Callable[[int], None]:
    """The callback that reports, while another process builds the same store, how far that is."""
    told = False

    def report(done: int) -> None:
        nonlocal told
        if not told:
            _tell(notes, f"another process is building {out}; waiting until it is there")
        told = True
        if progress is not None:
            progress(min(done, total), total)

    return report


def _check_room(plan: Plan, out: Path) -> None:
    """Raise DataError when the disk has clearly too little room for the rest of the store."""
    part = part_of(out)
    needed = plan.pixels * plan.channels * (len(plan.train) + len(plan.val))
    # An interrupted build has written a part already, which needs no room again.
    room = shutil.disk_usage(out.parent).free + (part.stat().st_size if part.exists() else 0)
    if not holes_are_free(out.parent):  # the structure is written with a hole for the pixels (file.py)
        needed *= 2
    if _MARGIN * needed > room:
        raise DataError(
            f"expected room for about {needed / 1e6:,.0f} MB at {out}, but the disk has {room / 1e6:,.0f} MB left"
        )


def _tell(notes: Notes | None, sentence: str) -> None:
    if notes is not None:
        notes(sentence)


class _Build:
    """One run of a build.

    Attributes
    ----------
    entries : all images in the order of the store, training before validation
    records : the result for each image so far
    counts : int64 (C, 256), histogram of the training images so far
    hashes : perceptual hashes of the training and of the validation images; empty bytes for a corrupt image
    corrupt : name and reason of each corrupt image
    """

    def __init__(self, plan: Plan, out: Path, journal: Journal, allowed: int) -> None:
        self.plan, self.out, self.journal, self.allowed = plan, out, journal, allowed
        self.entries = plan.train + plan.val
        self.records: list[Record] = []
        self.counts = np.zeros((plan.channels, 256), np.int64)
        self.hashes: tuple[list[bytes], list[bytes]] = [], []
        self.corrupt: list[tuple[str, str]] = []

    def run(self, jobs: int, progress: Progress | None, notes: Notes | None) -> None:
        """Process the remaining images, complete the file and give it its final name."""
        for record, stored in self.journal.replay():
            self._take(record, self._facts(len(self.records), stored))
        done, total = len(self.records), len(self.entries)
        if done:
            _tell(notes, f"going on after {done:,} of {total:,} images")
        with decoding_quietly():
            # prefetch keeps the order of the images, so the store does not depend on the number of threads.
            for results in prefetch(self._decode_from, range(done, total, _AT_ONCE), jobs):
                for record, pixels, facts in results:
                    self.journal.add(record, pixels)
                    self._take(record, facts)
                if progress is not None:
                    progress(len(self.records), total)
        self._finish()

    def _decode_from(self, first: int) -> list[tuple[Record, Decoded | None, _Facts]]:
        """Decode images ``first`` to ``first + _AT_ONCE``; runs in a worker thread."""
        found: list[tuple[Record, Decoded | None, _Facts]] = []
        for i, entry in enumerate(self.entries[first : first + _AT_ONCE], first):
            record, pixels = _decode(entry, self.plan)
            found.append((record, pixels, self._facts(i, pixels)))
        return found

    def _facts(self, place: int, pixels: Decoded | None) -> _Facts:
        """Histogram of a training image (or of any, when none is for training), and the perceptual hash."""
        if pixels is None or not pixels.size:
            return None, b""
        counted = place < (len(self.plan.train) or len(self.entries))
        return count_levels(pixels) if counted else None, difference_hash(pixels) if self.plan.train else b""

    def _take(self, record: Record, facts: _Facts) -> None:
        """Record the result for the next image; DataError when too many images are corrupt."""
        counts, looks = facts
        if counts is not None:
            self.counts += counts
        (self.hashes[0] if len(self.records) < len(self.plan.train) else self.hashes[1]).append(looks)
        if not record.rows:
            self.corrupt.append((self.entries[len(self.records)].name, record.reason))
        self.records.append(record)
        if len(self.corrupt) > self.allowed:
            self.journal.remove()  # without the corrupt images the plan has another key
            some = "; ".join(f"{name}: {reason}" for name, reason in self.corrupt[:3])
            raise DataError(
                f"expected at most {self.allowed} of {len(self.entries):,} images to be corrupt, but there are more, "
                f"among them {some}; remove or convert them, or allow a larger share, as with --max-corrupt 0.2"
            )

    def _finish(self) -> None:
        """Write the HDF5 structure around the pixels, check the file and rename it."""
        self.journal.close_pixels()
        middle = len(self.plan.train)
        train, val = self._arrays(0, middle), self._arrays(middle, len(self.entries))
        arrays = {f"{part}/{name}": own[name] for part, own in (("train", train), ("val", val)) for name in own}
        self._check_whole(arrays)
        start = data_start(self.out.parent)
        about = {**self._description(), "twins": self._twins(start, train, val)}
        write_around(self.journal.pixels, start, self.journal.size, about, arrays)
        read_store(self.journal.pixels)  # raises when the file cannot be read back, before it gets its name
        # In this order, a kill between the two leaves a whole store and a hidden journal that nothing reads.
        replace(self.journal.pixels, self.out)
        self.journal.remove()

    def _twins(self, start: int, *parts: dict[str, NDArray[Any]]) -> dict[str, Any]:
        """Description of the validation images that are training images as well."""
        pixels = Pixels(self.journal.pixels)
        train, val = (StoreImages(pixels, start, self.plan.channels, own) for own in parts)
        one, other = (np.frombuffer(b"".join(looks), np.uint64).reshape(-1, 2) for looks in self.hashes)
        return find_twins(train, val, (one, other))

    def _check_whole(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Raise DataError when a class, or the validation split, has only corrupt images."""
        filled = set(arrays["train/labels" if self.plan.train else "val/labels"].tolist())
        empty = [class_id for label, class_id in enumerate(self.plan.class_ids) if label not in filled]
        if not empty and len(arrays["val/labels"]):
            return
        self.journal.remove()
        reasons = f": all of its images are corrupt, such as {'; '.join(map(': '.join, self.corrupt[:2]))}"
        what = "validation" if not empty else "class " + ", ".join(empty[:5]) + (", ..." if len(empty) > 5 else "")
        raise DataError(
            f"expected at least one whole image of each class and of validation, but {what} has none"
            f"{reasons if self.corrupt else ''}"
        )

    def _arrays(self, first: int, last: int) -> dict[str, NDArray[Any]]:
        """The arrays of the images from ``first`` to ``last``, without the corrupt ones."""
        label = {class_id: i for i, class_id in enumerate(self.plan.class_ids)}
        table = np.array([record[:4] for record in self.records], np.int64).reshape(-1, 4)
        area = table[:, :2].prod(axis=1) * self.plan.channels
        offsets = np.cumsum(area) - area  # a corrupt image has no pixels, hence area 0
        kept = [i for i in range(first, last) if table[i, 0]]
        own = [self.entries[i] for i in kept]
        # No file name holds this character.
        names = "\0".join(entry.name for entry in own).encode("utf-8", "surrogateescape")
        return {
            "labels": np.array([label[entry.class_id] for entry in own], np.int64),
            "offsets": offsets[kept],
            "sizes": table[kept, :2],
            "crc32": table[kept, 2].astype(np.uint32),
            "source_crc32": table[kept, 3].astype(np.uint32),
            "source_bytes": np.array([entry.member.size for entry in own], np.int64),
            "source_names": np.frombuffer(names, np.uint8),
        }

    def _description(self) -> dict[str, Any]:
        """The description of the store, ready for JSON."""
        plan = self.plan
        mean, std = mean_std(self.counts)
        fixed = {
            name: getattr(plan, name) for name in ("name", "class_ids", "class_names", "channels", "short_side", "key")
        }
        return {**fixed, "mean": mean.tolist(), "std": std.tolist(), "corrupt": self.corrupt, "unused": plan.unused}


def _decode(entry: Entry, plan: Plan) -> tuple[Record, Decoded | None]:
    """Decode and resize an image; for a corrupt one the pixels are None, and the record holds the reason."""
    try:
        content = entry.member.read()
    except OSError as error:
        return Record(0, 0, 0, 0, why(error)), None
    source = zlib.crc32(content)
    try:
        # A JPEG may be decoded at reduced size, but its sides keep at least twice the length that is stored.
        pixels = decode(BytesIO(content), "it", "L" if plan.channels == 1 else "RGB", 2 * plan.short_side)
    except DataError as error:
        return Record(0, 0, 0, source, str(error)), None
    pixels = to_short_side(pixels, plan.short_side)
    h, w = pixels.shape[:2]
    return Record(h, w, zlib.crc32(pixels.data), source), pixels
