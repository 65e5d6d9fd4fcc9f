"""Random custom networks: branches, sums, concatenations, shared layers, every layer and op that has a node."""

import numpy as np
from hypothesis import strategies as st

from binnet import nn, ops
from binnet.nn import BinaryOptions

CHANNELS = st.sampled_from([1, 2, 3, 8, 31, 33])
MOST = 40  # channels after a concatenation


class Program(nn.Module):
    """A network that runs a list of calls; ``steps`` holds (layer or function, numbers of the maps it reads)."""

    def __init__(self, layers, steps, head):
        super().__init__()
        self.layers, self.head, self.steps = nn.ModuleList(layers), head, steps

    def forward(self, x):
        maps = [x]
        for call, reads in self.steps:
            call = self.layers[call] if isinstance(call, int) else call
            maps.append(call(*(maps[i] for i in reads)))
        return self.head(maps[-1])


class Pooled(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x.mean(axis=(1, 2)))


@st.composite
def binary_layers(draw, c, o, rng, exact):
    words = {
        "use_k": not exact and draw(st.booleans()),
        "pad_value": draw(st.sampled_from([0, 1, -1])),
        "scale": "learned" if exact else draw(st.sampled_from(["mean", "learned"])),
        "center": not exact and draw(st.booleans()),
        "weight_bits": 1 if exact else draw(st.sampled_from([1, 1, 1, 2, 3])),
        "act_bits": 1 if exact else draw(st.sampled_from([1, 1, 1, 2])),
    }
    kind = draw(st.sampled_from([nn.BinConv2d, nn.BinConv2d, nn.BwnConv2d]))
    window = (draw(st.sampled_from([1, 3])), draw(st.sampled_from([1, 1, 2])), draw(st.sampled_from([0, 1])))
    options, scaled = BinaryOptions(**words), draw(st.booleans())
    how = options.for_bwn(scaled) if kind is nn.BwnConv2d else options.for_xnor(scaled)
    return kind(c, o, *window, **how, rng=rng)


@st.composite
def layers(draw, shape, rng, exact):
    """A layer or op for maps of a shape (H, W, C)."""
    h, w, c = shape
    small = min(h, w) < 4
    o = draw(CHANNELS)
    kind = draw(
        st.sampled_from(
            ["binary"] * 3
            + ["block"] * 2
            + ["conv", "depthwise", "norm", "relu", "prelu", "scale", "shift", "sign", "pad", "pool", "number", "minus"]
            + ([] if exact else ["average", "quantise", "divide", "softmax"])
        )
    )
    if kind in ("binary", "block", "conv", "depthwise", "pool", "average") and small:
        kind = "norm"
    if kind == "binary":
        return draw(binary_layers(c, o, rng, exact))
    if kind == "block":
        pool = draw(st.sampled_from([nn.MaxPool2d(2), nn.MaxPool2d(3, 1, 1), nn.ReLU(), nn.PReLU(o)]))
        norms = [nn.BatchNorm(n, eps=0.0 if exact else 1e-5) for n in (c, o)]
        learned, plain = (nn.WeightBinariser(scale) for scale in ("learned", "none"))
        last = nn.BinConv2d(o, draw(CHANNELS), 1, weight_binariser=learned, rng=rng)
        first = nn.BinConv2d(c, o, 3, 1, 1, weight_binariser=draw(st.sampled_from([learned, plain])), rng=rng)
        return nn.Sequential(norms[0], first, pool, norms[1], last)
    if kind == "conv":
        size = draw(st.sampled_from([1, 3]))
        return nn.Conv2d(c, o, size, draw(st.sampled_from([1, 2])), size // 2, bias=draw(st.booleans()), rng=rng)
    if kind == "depthwise":
        return nn.Conv2d(c, c * draw(st.sampled_from([1, 2])), 3, 1, 1, groups=c, rng=rng)
    padding, number = draw(st.sampled_from([1, (1, 0, 0, 1), (0, 2, 1, 0)])), float(draw(st.integers(-2, 2)))
    calls = {
        "norm": lambda: nn.BatchNorm(c, eps=0.0 if exact else 1e-5),
        "relu": lambda: draw(st.sampled_from([nn.ReLU(), ops.relu])),
        "prelu": lambda: nn.PReLU(draw(st.sampled_from([1, c]))),
        "scale": lambda: nn.Scale(c),
        "shift": lambda: nn.Shift(c),
        "sign": lambda: nn.Sign(),
        "pad": lambda: lambda x: ops.pad(x, padding, number),
        "pool": lambda: nn.MaxPool2d(*draw(st.sampled_from([(2,), (3, 2, 1), ((2, 1), 1)]))),
        "average": lambda: nn.AvgPool2d(2),
        "quantise": lambda: nn.Quantise(2),
        "number": lambda: lambda x: x + number,
        "minus": lambda: lambda x: number - x,
        "divide": lambda: lambda x: x / 3.0,
        "softmax": lambda: ops.softmax,
    }
    return calls[kind]()


def run(step, maps):
    from binnet import Tensor, no_grad

    with no_grad(), np.errstate(all="ignore"):
        return step(*(Tensor(np.zeros((1, *shape), np.float32)) for shape in maps)).shape[1:]


@st.composite
def modules(draw, exact=False):
    """A module in evaluation mode and the shape of its images; ``exact``: all its sums are of few small numbers."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shapes = [(draw(st.sampled_from([5, 8])), draw(st.sampled_from([6, 7])), draw(st.sampled_from([1, 3])))]
    own, steps = [], []
    for _ in range(draw(st.integers(1, 7))):
        source = draw(st.integers(max(0, len(shapes) - 3), len(shapes) - 1))
        alike = [i for i, shape in enumerate(shapes) if shape == shapes[source]]
        beside = [i for i, s in enumerate(shapes) if s[:2] == shapes[source][:2] and s[2] + shapes[source][2] <= MOST]
        join = draw(st.sampled_from(["no", "no", "add", "mul", "subtract", "concatenate"]))
        if join == "concatenate" and beside:
            step = (lambda *maps: ops.concatenate(maps), (source, draw(st.sampled_from(beside))))
        elif join in ("add", "subtract") or (join == "mul" and not exact):
            step = (getattr(ops, join), (source, draw(st.sampled_from(alike))))
        else:
            fitting = [
                i for i, (c, reads) in enumerate(steps) if isinstance(c, int) and shapes[reads[0]] == shapes[source]
            ]
            if fitting and draw(st.integers(0, 3)) == 0:  # a layer for the second time
                step = (steps[draw(st.sampled_from(fitting))][0], (source,))
            else:
                call = draw(layers(shapes[source], rng, exact))
                if isinstance(call, nn.Module):
                    own.append(call)
                    call = len(own) - 1
                step = (call, (source,))
        call = own[step[0]].eval() if isinstance(step[0], int) else step[0]
        steps.append(step)
        shapes.append(run(call, [shapes[i] for i in step[1]]))
    h, w, c = shapes[-1]
    heads = {
        "none": lambda: nn.Sequential(),
        "mean": lambda: Pooled(nn.Linear(c, 3, rng=rng)),
        "flat": lambda: nn.Sequential(nn.Flatten(), nn.Linear(h * w * c, 3, rng=rng)),
        "binary": lambda: nn.Sequential(nn.Flatten(), nn.BinLinear(h * w * c, 4, rng=rng), nn.BatchNorm(4, eps=0.0)),
    }
    net = Program(own, steps, heads[draw(st.sampled_from(sorted(heads)[:3] if not exact else ["none", "binary"]))]())
    shake(net, rng, exact)
    return net.eval(), shapes[0]


def shake(net, rng, exact):
    """Values far from the initial ones, some negative; if exact, multiples of a quarter, most of them 0."""
    for name, array in [*((n, p.data) for n, p in net.named_parameters()), *net.named_buffers()]:
        end = name.rsplit(".", 1)[-1]
        if end in ("seed", "step"):
            continue
        if exact:
            some = {"weight": [-1, 0, 0, 0.5, 1], "gamma": [-1, 1, 2], "alpha": [0.5, 1, -1], "running_var": [1, 4]}
            array[...] = rng.choice(np.float32(some.get(end, [-1, 0, 0.5, 2])), array.shape)
        elif end == "running_var":
            array[...] = rng.uniform(0.1, 4, array.shape)
        else:
            array[...] = rng.choice(np.float32([-1, 0.25, 1]), array.shape) * rng.uniform(0.5, 1.5, array.shape)
