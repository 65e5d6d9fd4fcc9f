"""Make ``binnet_datasets/named/digits.h5`` from the copy of the UCI digits that scikit-learn carries.

Needs scikit-learn (``pip install scikit-learn h5py``), which is no dependency of binnet: run this in an environment
of its own. The result is the same bytes each time with the same versions of NumPy and HDF5.

    python datasets/make_digits.py [OUTPUT]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

SEED = 0
TEST_FRACTION = 0.2
ATTRIBUTES = {
    "title": "Optical Recognition of Handwritten Digits",
    "authors": "E. Alpaydin and C. Kaynak",
    "source": "UCI Machine Learning Repository, test set, from the copy in scikit-learn (load_digits)",
    "doi": "10.24432/C50P49",
    "licence": "CC BY 4.0",
    "licence_url": "https://creativecommons.org/licenses/by/4.0/",
    "changes": (
        "grey levels 0..16 scaled to round(v * 255 / 16); new stratified split, 1437 for training and 360 for testing"
    ),
}


def test_indices(labels: np.ndarray[Any, Any], rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Indices of the test images: the same share of every class, rounded by the largest remainder.

    The total is exactly ``ceil(n * TEST_FRACTION)``.
    """
    counts = np.bincount(labels)
    total = int(np.ceil(len(labels) * TEST_FRACTION))
    share = counts * (total / len(labels))
    take = np.floor(share).astype(int)
    # A stable sort: equal remainders must give the same split on every machine.
    largest = np.argsort(take - share, kind="stable")[: total - take.sum()]
    take[largest] += 1
    chosen = [rng.permutation(np.flatnonzero(labels == label))[:n] for label, n in enumerate(take)]
    return np.sort(np.concatenate(chosen))


def main(output: Path) -> None:
    """Write the HDF5 file."""
    import h5py
    from sklearn.datasets import load_digits

    digits = load_digits()
    # The original grey levels are 0 to 16; images have a last axis for the channel.
    images = np.round(digits.images * 255 / 16).astype(np.uint8)[..., None]
    test = test_indices(digits.target, np.random.default_rng(SEED))
    train = np.setdiff1d(np.arange(len(images)), test)
    # Without creation order and time stamps, so that the file has the same bytes each time.
    with h5py.File(output, "w", track_order=False) as file:
        file.attrs.update(ATTRIBUTES)
        file.attrs["split_seed"] = SEED
        file.attrs["class_names"] = [str(digit) for digit in range(10)]
        for name, index in (("train", train), ("test", test)):
            columns = {
                "images": images[index],
                "labels": digits.target[index].astype(np.uint8),
                "index": index.astype(np.uint16),
            }
            for key, values in columns.items():
                file.create_dataset(
                    f"{name}/{key}", data=values, compression="gzip", compression_opts=9, track_times=False
                )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "binnet_datasets" / "named" / "digits.h5")
