"""The engine: what is fused, that memory is used again, threads, parts of large batches, profiles."""

import threading
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

import binnet
from binnet import Tensor, models, nn, no_grad
from binnet.engine import engine
from binnet.engine.engine import Engine
from binnet.engine.rewrites import fuse
from binnet.engine.stages import Stages
from binnet.engine.summary import summarise
from binnet.graph import Add, Graph, Input, MaxPool, Scale, trace, walk
from binnet.nn import BinaryOptions, Blocks


def build(name="quick", mode="xnor", size=16, **options):
    return models.build(name, mode, 5, image_size=size, **options)


def images(n=2, size=16, seed=0):
    return np.random.default_rng(seed).standard_normal((n, size, size, 3), dtype=np.float32)


def graph_of(net, size=16):
    return trace(net, (size, size, 3))


def fused(net, size=16):
    return fuse(Stages.of(graph_of(net, size))).stages


def writes(stage):
    return ("floats" if stage.floats else "") + ("bits" if stage.bits_for else "")


def epilogue(stage):
    return [node.kind for node in stage.epilogue]


def unpacked(layers, x):
    net = nn.Sequential(*layers)
    with no_grad():
        return net, net.eval()(Tensor(x)).numpy()


# ---------------------------------------------------------------------------------------------- fusion


def test_a_residual_network_is_convolutions_and_little_else():
    nodes = {node.name: node for node in fused(build("resnet18", size=33), 33)}
    kinds = [stage.node.kind for stage in nodes.values()]
    assert kinds.count("XnorConv") == 16
    assert set(kinds) == {"Input", "Conv", "MaxPool", "XnorConv", "GlobalAverage"}
    assert writes(nodes["conv1_pool"]) == "floatsbits"
    assert (writes(nodes["stage1_block1.body.conv1"]), epilogue(nodes["stage1_block1.body.conv1"])) == ("bits", [])
    assert (writes(nodes["stage1_block1.body.conv2"]), epilogue(nodes["stage1_block1.body.conv2"])) == (
        "floatsbits",
        ["Add"],
    )
    last = nodes["stage4_block2.body.conv2"]
    assert (writes(last), epilogue(last)) == ("floats", ["Add", "BatchNorm", "Relu"])
    assert epilogue(nodes["conv1"]) == ["BatchNorm", "Relu"]


@pytest.mark.parametrize("order", ["bacp", "cbap"])
def test_between_binary_layers_there_are_bits_only(order):
    nodes = fused(build("alexnet", size=67, wide=40, order=order), 67)
    names = [node.name for node in nodes]
    for name in ("conv2", "conv2_pool", "conv3", "conv4", "conv5", "conv5_pool", "dense6"):
        assert writes(nodes[names.index(name)]) == "bits", name
    assert len(nodes) == 1 + 8 + 3


def test_k_keeps_its_floats():
    nodes = {node.name: node for node in fused(build("lenet5", use_k=True, size=20), 20)}
    assert writes(nodes["conv2"]) == "floats"
    assert not any(node.bits_for for node in nodes.values())


@pytest.mark.parametrize("mode", ["xnor", "bwn"])
def test_weights_are_held_once_and_can_be_saved_all_the_same(mode):
    net, x = build(mode=mode), images(1)
    binnet.pack(net)(x)  # compiles
    tracemalloc.start()
    try:
        model = binnet.pack(net)
        content, size = model.to_bytes(), sum(array.nbytes for array in model.arrays().values())
        before = tracemalloc.get_traced_memory()[0]
        first = model(x)
        model._engine._idle.clear()  # the plan, with its maps
        assert tracemalloc.get_traced_memory()[0] - before < size / 2
    finally:
        tracemalloc.stop()
    assert model.to_bytes() == content
    np.testing.assert_array_equal(model(x), first)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("options", [{"scale": "learned"}, {"order": "cbap"}, {"order": "cbap", "scale": "learned"}])
def test_pooling_after_steps_that_fall(options, seed):
    """Negative factors before the pooling, after it, or both: the smallest dot product decides, or the largest."""
    rng = np.random.default_rng(seed)
    blocks = Blocks("xnor", BinaryOptions(**options), seed)
    layers = [
        *blocks.first_conv("a", 3, 33, 3, padding=1),
        *blocks.conv("b", 33, 40, 3, padding=1, relu=bool(seed % 2)),
        ("b_pool", nn.MaxPool2d(2)),
        *blocks.conv("c", 40, 9, 3, padding=1, relu=False),
    ]
    for _, layer in layers:
        for name, parameter in layer.named_parameters():
            if name in ("gamma", "beta", "alpha"):
                parameter.data[...] = rng.standard_normal(parameter.shape)
        if isinstance(layer, nn.BatchNorm):
            layer.running_mean[...] = rng.standard_normal(len(layer.running_mean))
    x = images(3, 8, seed)
    net, expected = unpacked(layers, x)
    nodes = {stage.name: stage for stage in fused(net, 8)}
    assert (writes(nodes["b"]), writes(nodes["b_pool"])) == ("bits", "bits")
    assert 0 < nodes["b"].flips.sum() < 40
    np.testing.assert_array_equal(Engine(graph_of(net, 8))(x), expected)


def test_a_sign_that_is_normalised_before_the_next_sign():
    """NaN has the sign +1, of which the normalisation makes a negative number; no interval of floats holds NaN."""
    rng = np.random.default_rng(0)
    norm = nn.BatchNorm(33)
    norm.gamma.data[...] = 0
    norm.beta.data[...] = -1
    conv = nn.BinConv2d(33, 9, 3, 1, 1, rng=rng)
    x = rng.standard_normal((2, 6, 6, 33), dtype=np.float32)
    x[0, 2, 3] = np.nan
    net, expected = unpacked([("sign", nn.Sign()), ("norm", norm), ("conv", conv)], x)
    np.testing.assert_array_equal(Engine(trace(net, (6, 6, 33)))(x), expected)


def test_shapes_that_do_not_add_up_are_named():
    rng = np.random.default_rng(0)
    body = nn.Sequential(("conv", nn.Conv2d(3, 3, 3, rng=rng)))
    net = nn.Sequential(("block", nn.Residual(body, None)))
    with pytest.raises(ValueError, match=r"block \(Residual\): the body gives \(1, 6, 6, 3\), the shortcut"):
        graph_of(net, 8)
    graph = Graph((Input("x", (), (9, 9, 2)), MaxPool("p", ("x",), (2, 2), (1, 1), (0, 1, 0, 1)), Add("a", ("p", "x"))))
    with pytest.raises(ValueError, match=r"a cannot combine \(N, 8, 8, 2\) and \(N, 9, 9, 2\)"):
        Graph((graph.nodes[0], replace(graph.nodes[1], padding=(0, 0, 0, 0)), graph.nodes[2]))


# ---------------------------------------------------------------------------------------------- memory and threads


def test_a_second_call_allocates_nothing_large():
    model, x = binnet.pack(build("resnet18", size=64)), images(4, 64)
    model(x)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        y = model(x)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert y.shape == (4, 5)
    assert peak < 160_000 < x.nbytes  # the map of the first layer is 1,048,576 bytes


def test_sums_are_written_over_the_map_that_they_add():
    run, x = Engine(graph_of(build("resnet18", size=33), 33)), images(1, 33)
    run(x)
    with run._plan(x.shape) as plan:
        memory = {stage.name: plan.map(stage).ctypes.data for stage in plan._stages.stages if stage.floats}
    assert memory["stage1_block1.body.conv2"] == memory["stage1_block2.body.conv2"] == memory["conv1_pool"]


def test_a_map_that_is_read_after_the_sum_is_not_written_over():
    x, y = Input("x", (), (6, 6, 2)), MaxPool("y", ("x",), (2, 2), (2, 2), (0, 0, 0, 0))
    twice, again = Add("twice", ("y", "half")), Add("again", ("twice", "y"))
    found = Graph((x, y, Scale("half", ("y",), np.float32([0.5])), twice, again))
    values = images(2, 6)[..., :2]
    np.testing.assert_array_equal(Engine(found)(values), walk(found, values))


def test_results_are_the_callers_own():
    model, x = binnet.pack(build()), images()
    first = model(x)
    copy = first.copy()
    second = model(-x)
    np.testing.assert_array_equal(first, copy)
    assert not np.array_equal(first, second)


def test_several_threads_call_one_model():
    model = binnet.pack(build(size=24))
    inputs = [images(1 + i % 3, 24 + i % 2, i) for i in range(8)]
    expected = [binnet.pack(build(size=24))(x) for x in inputs]
    wrong, start = [], threading.Barrier(4)

    def call(first):
        start.wait()
        for turn in range(10):
            number = (first + turn) % len(inputs)
            if not np.array_equal(model(inputs[number]), expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=call, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_plans_do_not_pile_up():
    model = binnet.pack(build())
    for size in range(10, 10 + 2 * engine.IDLE):
        model(images(1, size))
    assert len(model._engine._idle) == engine.IDLE


def test_a_failed_call_leaves_the_model_usable():
    model, x = binnet.pack(build()), images()
    expected = model(x)
    with pytest.raises(ValueError, match="smaller than the window"):
        binnet.pack(build("googlenet", size=32))(images(1, 8))
    np.testing.assert_array_equal(model(x), expected)


def test_large_batches_go_in_parts(monkeypatch):
    model, x = binnet.pack(build()), images(7)
    whole = model(x)
    # The first shortcut reads a map that is held as floats and as bits, adds one of floats, and writes both again.
    largest = (8 * 8 * 32 * (32 + 1) + 4 * 4 * 64 * 32 + 4 * 4 * 64 * (32 + 1)) // 8
    monkeypatch.setattr(engine, "CACHED", 3 * largest)
    parts = binnet.pack(build())
    np.testing.assert_array_equal(parts(x), whole)
    assert sorted(shape[0] for shape, _ in parts._engine._idle) == [1, 3]


# ---------------------------------------------------------------------------------------------- profiles


def test_profile_has_a_row_for_each_fused_step():
    net = build()
    model = binnet.pack(net)
    rows = model.profile(images(3))
    assert [row.name for row in rows] == [node.name for node in fused(net)[1:]]
    assert all(row.seconds > 0 for row in rows)
    total = summarise(model)
    assert sum(row.macs for row in rows) == 3 * (total.total("macs_1bit") + total.total("macs_32bit"))
    binary = next(row for row in rows if row.name == "block1.body.conv1")
    assert binary.kind == "XnorConv to bits"
    assert binary.macs == 3 * 4 * 4 * 64 * 9 * 32
    with pytest.raises(ValueError, match="a profile needs at least one image"):
        model.profile(images(0))
