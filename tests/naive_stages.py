"""What the stages of an engine compute, in NumPy: the same before and after each rewrite."""

from dataclasses import replace

import numpy as np

from binnet.graph import Add, MaxPool


def patches(x, node, value):
    top, bottom, left, right = node.padding
    x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=value)
    view = np.lib.stride_tricks.sliding_window_view(x, node.kernel_size, axis=(1, 2))
    return view[:, :: node.stride[0], :: node.stride[1]]


def walk_stages(stages, images):
    """The result of the last stage; ``bits`` are True where a value is negative."""
    floats, bits = {stages.images: images}, {}
    with np.errstate(all="ignore"):
        for stage in stages.stages[1:]:
            _run(stage, floats, bits)
    return floats[stages.result]


def _run(stage, floats, bits):
    node = stage.node
    inputs = [_as_floats(each, stage, floats, bits) for each in stage.inputs]
    if isinstance(node, MaxPool) and stage.flips is not None:
        bits[stage] = patches(bits[stage.inputs[0]], node, True).all(axis=(4, 5)) ^ stage.flips
        return
    for each in [stage.quantise] if stage.quantise else stage.before_sign:
        inputs = [each.compute(inputs[0])]
    if stage.flat:
        inputs = [inputs[0].reshape(len(inputs[0]), -1)]
    if stage.most is not None:
        bits[stage] = (replace(node, alpha=None).compute(*inputs) <= stage.most) ^ stage.flips
        return
    y = inputs[0] if node.kind == "Identity" else node.compute(*inputs)
    if stage.pool is not None:
        y = stage.pool.compute(y)
    for each in stage.epilogue:
        y = y + floats[stage.residual] if isinstance(each, Add) else each.compute(y)
    if stage.limits is not None:
        low, high = stage.limits
        bits[stage] = (low <= y) & (y <= high)
    if stage.floats:
        floats[stage] = y


def _as_floats(source, reader, floats, bits):
    """The map that a stage reads: the signs that were written for it, or the floats."""
    return np.where(bits[source], -1.0, 1.0).astype(np.float32) if source.bits_for is reader else floats[source]
