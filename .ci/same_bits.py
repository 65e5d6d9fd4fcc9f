"""Whether two machines compute the same with one packed model.

    python .ci/same_bits.py write RESULTS.npz MODEL.h5      on the first machine
    python .ci/same_bits.py compare RESULTS.npz MODEL.h5    on the second

The first runs the model on 64 of the built-in digits, and writes what goes into each node of its graph and what comes
out. The second gives the same arrays to the same nodes. XNOR convolutions, each a whole number times α, must come out
equal; other nodes and the fused model, which add up real numbers in another order, within 1e-5 of the largest value.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

import binnet
import binnet_datasets

BOUND = 1e-5  # of the largest value
EXACT = {"XnorConv"}


def results(model: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Outputs of all nodes by name, each for the inputs in `given`, or for what was computed where there are none."""
    found: dict[str, Any] = {model.graph.input.name: given[model.graph.input.name]}
    for node in model.graph:
        if node.inputs:
            found[node.name] = node.compute(*(given.get(name, found.get(name)) for name in node.inputs))
    return found


def digits(model: Any) -> Any:
    """64 digits as the model reads them, uint8 (64, 8, 8, 1), and normalised."""
    pixels = binnet_datasets.load("digits").test.images[:64]
    mean, std = (np.array(values, np.float32) for values in (model.info.mean, model.info.std))
    return pixels, (pixels.astype(np.float32) / np.float32(255) - mean) / std


def main() -> int:
    mode, path, file = sys.argv[1:]
    model: Any = binnet.load(file)
    pixels, normalised = digits(model)
    if mode == "write":
        arrays = results(model, {model.graph.input.name: normalised})
        np.savez(path, **arrays, fused=np.asarray(model(pixels)))
        return 0
    with np.load(path) as archive:
        expected = dict(archive)
    found = results(model, expected) | {"fused": np.asarray(model(pixels))}
    kinds = {node.name: node.kind for node in model.graph} | {"fused": "whole model"}
    wrong = 0
    for name, theirs in expected.items():
        ours, kind = found[name], kinds[name]
        apart = float(np.abs(ours.astype(np.float64) - theirs).max() / max(1.0, np.abs(theirs).max()))
        well = ours.shape == theirs.shape and apart <= (0 if kind in EXACT else BOUND)
        wrong += not well
        print(f"{name:24} {kind:14} {apart:9.1e} {'equal' if apart == 0 else 'within bound' if well else 'DIFFERS'}")
    same = np.array_equal(found["fused"].argmax(axis=1), expected["fused"].argmax(axis=1))
    print(f"predictions of the whole model: {'equal' if same else 'DIFFER'}")
    return int(wrong > 0 or not same)


if __name__ == "__main__":
    sys.exit(main())
