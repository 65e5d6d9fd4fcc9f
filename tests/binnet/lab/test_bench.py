"""``binnet bench``: measurements, reports and rejected arguments. No test asserts a time."""

import itertools
import json
import os
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest
from numba import config

import binnet
import binnet_kernels as bk
from binnet import models
from binnet.cli import bench, main
from binnet.lab import reproduce
from binnet.lab.bench import cold, figure4, layers, machine, plot, report, shapes, sizes, timing, training, workload
from binnet.lab.bench.tables import TABLES
from binnet.train.config import TrainConfig
from binnet_system import memory

TINY = "20,6,16,3,1,1"
PEAK = machine.Peak(popcount=1e12, fma=1e11)


@pytest.fixture(autouse=True)
def _keep_number_of_threads():
    before = bk.get_num_threads()
    yield
    bk.set_num_threads(before)


@pytest.fixture
def run(capsys):
    """Run ``binnet bench`` and return exit code, standard output and standard error."""
    if config.DISABLE_JIT:
        pytest.skip("bench measures compiled code, and NUMBA_DISABLE_JIT is set")

    def call(*words):
        code = main(["bench", *map(str, words)])
        return (code, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def make_benchmarks(script):
    """The script docs/make_benchmarks.py, imported as a module."""
    return script("docs/make_benchmarks.py")


# ---------------------------------------------------------------------------------------------- the clock


def test_calls_take_turns_after_a_run_that_is_not_counted(monkeypatch):
    ticks, order = itertools.count(), []
    monkeypatch.setattr(timing.time, "perf_counter", lambda: float(next(ticks)))
    times = timing.medians({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 1e-9)
    assert "".join(order) == "ab" + "aabb" * timing.ROUNDS
    assert times == {"a": 1.0, "b": 1.0}


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_no_time_is_refused(seconds):
    with pytest.raises(ValueError, match="must be more than 0 seconds"):
        timing.medians({"a": lambda: None}, seconds)


# ---------------------------------------------------------------------------------------------- shapes and sizes


@pytest.mark.parametrize(
    ("channels", "kernel_size", "expected"),
    [(3, 11, 54.4), (64, 3, 57.6), (256, 1, 51.2), (256, 3, 62.27), (512, 3, 63.1)],
)
def test_theory_is_the_papers(channels, kernel_size, expected):
    assert shapes.Layer(channels, 14, 256, kernel_size, 1, 0).theory == pytest.approx(expected, abs=0.05)


def test_shapes_by_name_and_by_numbers():
    assert shapes.parse("resnet18") == [("resnet18", layer) for layer in shapes.NETWORKS["resnet18"]]
    assert len(shapes.parse("all")) == sum(map(len, shapes.NETWORKS.values()))
    found = shapes.parse(f"lenet5; {TINY};")
    assert [name for name, _ in found] == ["lenet5", "lenet5", "own"]
    assert found[-1][1] == shapes.Layer(20, 6, 16, 3, 1, 1)
    assert (str(found[-1][1]), found[-1][1].macs) == ("20@6x6 * 16@3x3 p1", 36 * 16 * 9 * 20)
    assert str(shapes.Layer(64, 56, 128, 1, 2, 0)) == "64@56x56 * 128@1x1/2"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "names no layer"),
        (" ; ", "names no layer"),
        ("vgg", "a shape is all, resnet18, .* got 'vgg'"),
        ("1,2,3", "six whole numbers"),
        ("1,2,3,4,5,6,7", "six whole numbers"),
        ("1,2,3,1,1,x", "six whole numbers"),
        ("0,6,16,3,1,1", "at least 1"),
        ("20,6,16,3,0,1", "at least 1"),
        ("20,6,16,3,1,-1", "p at least 0"),
        ("20,6,16,9,1,1", "larger than its image"),
    ],
)
def test_wrong_shapes(run, text, match):
    with pytest.raises(ValueError, match=match):
        shapes.parse(text)
    code, out, error = run("layers", "--shapes", text)
    assert (code, out) == (1, "")
    assert error.startswith("binnet: error: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "count"), [("VGG-19", 143_667_240), ("ResNet-18", 11_689_512), ("AlexNet", 62_378_344)]
)
def test_published_numbers_of_parameters(name, count):
    assert sizes.parameters(name) == count
    assert 0.9 * count < sizes.inner_weights(name) + sizes.NETWORKS[name][-1].parameters < count


def test_memory_is_near_the_papers():
    for row in figure4.memory():
        assert row["double"] == pytest.approx(row["paper_double"], rel=0.12)
        assert row["one_bit"] == pytest.approx(row["paper_one_bit"], rel=0.08)
        assert row["one_bit"] < row["inner_one_bit"] < row["float32"] == row["double"] / 2 == 32 * row["one_bit"]


# ---------------------------------------------------------------------------------------------- layers


@pytest.mark.parametrize("use_k", [False, True])
def test_the_calls_of_a_layer(use_k):
    work = workload.Workload(shapes.Layer(20, 6, 16, 3, 1, 1), batch=2, use_k=use_k)
    x, weight = work._x, work._weight
    np.testing.assert_array_equal(work.calls["whole"](), bk.XnorConv2d(weight, padding=1, use_k=use_k)(x))
    np.testing.assert_array_equal(work.calls["float32"](), bk.conv2d(x, weight, padding=1))
    np.testing.assert_allclose(work.calls["plain"](), bk.conv2d(x[:1], weight, padding=1), atol=1e-4)
    assert ("pack and K" in work.calls) == use_k
    assert (work.plain_rows, work.plain_factor) == (6, 2)
    for name in set(work.calls) - {"whole", "float32", "plain"}:
        work.calls[name]()


def test_plain_loops_run_on_fewer_rows_of_large_layers(monkeypatch):
    monkeypatch.setattr(workload, "PLAIN_MACS", 2 * 6 * 16 * 9 * 20)  # two rows of the output
    work = workload.Workload(shapes.Layer(20, 6, 16, 3, 1, 1))
    assert work.calls["plain"]().shape == (1, 2, 6, 16)
    assert (work.plain_rows, work.plain_factor) == (2, 3)
    monkeypatch.setattr(workload, "PLAIN_MACS", 1)
    assert workload.Workload(shapes.Layer(20, 6, 16, 3, 1, 1)).plain_rows == 1


def test_figures_of_a_layer_follow_from_the_times(monkeypatch):
    seconds = {"whole": 10.0, "pack": 2.0, "pack and K": 3.0, "popcount": 4.0, "float32": 40.0, "plain": 50.0}
    monkeypatch.setattr(layers, "medians", lambda calls, _: {name: seconds[name] for name in calls})
    layer = shapes.Layer(20, 6, 16, 3, 1, 1)
    row = layers.row(layer, 2, True, 1.0, machine.Peak(popcount=layer.macs, fma=1.0))
    parts = [row[name] for name in ("pack_s", "k_s", "popcount_s", "scale_s")]
    assert parts == [2, 1, 4, 3]
    assert (row["macs"], row["rate"], row["peak_share"]) == (2 * layer.macs, layer.macs / 5, 0.2)
    assert (row["float32_ratio"], row["plain_s"], row["plain_ratio"], row["plain_scaled"]) == (4, 100, 10, True)
    seconds["popcount"] = 20.0
    assert layers.row(layer, 1, False, 1.0, PEAK)["scale_s"] == 0
    assert layers.row(layer, 1, False, 1.0, PEAK)["k_s"] == 0


def test_layers_command(run, tmp_path):
    path = tmp_path / "new" / "layers.json"
    words = ("--shapes", TINY, "--batch", "2", "--use-k", "--seconds", "0.001")
    code, out, error = run("layers", *words, "--json", path)
    assert (code, error) == (0, "")
    assert "20@6x6 * 16@3x3 p1" in out
    assert "threads: 1" in out
    found = report.load(path)
    assert found.command == f"binnet bench layers --shapes {TINY} --batch 2 --use-k --threads 1 --seconds 0.001"
    assert set(found.tables) == {"peak", "layers"}
    assert found.tables["layers"][0]["shape"] == [20, 6, 16, 3, 1, 1]
    assert set(found.machine["versions"]) == {"binnet", "python", "numpy", "numba", "llvmlite"}
    assert found.machine["versions"]["binnet"] == binnet.__version__
    for key in ("cpu", "instructions", "threading_layer", "date", "system"):
        assert found.machine[key]


def test_every_column_finds_its_figure(run, tmp_path):
    run("layers", "--shapes", TINY, "--seconds", "0.001", "--json", tmp_path / "a")
    for name, rows in report.load(tmp_path / "a").tables.items():
        assert all(len(cells) == len(TABLES[name].columns) for cells in TABLES[name].cells(rows))


# ---------------------------------------------------------------------------------------------- figure 4


@pytest.fixture
def few_points(monkeypatch):
    tiny = shapes.Layer(20, 6, 16, 3, 1, 1)
    monkeypatch.setattr(figure4, "points", lambda quick: ([tiny], [tiny]))


def test_points_of_figure_4():
    by_channels, by_filter = figure4.points(quick=False)
    assert {(layer.size, layer.filters, layer.kernel_size) for layer in by_channels} == {(14, 256, 3)}
    assert (by_channels[0].channels, by_channels[-1].channels) == (1, 1024)
    assert {(layer.size, layer.filters, layer.channels) for layer in by_filter} == {(14, 256, 256)}
    assert (by_filter[0].kernel_size, by_filter[-1].kernel_size) == (1, 20)
    assert all(map(len, figure4.points(quick=True)))


def test_figure4_command(run, few_points, tmp_path):
    code, out, error = run("figure4", "--quick", "--seconds", "0.001", "--json", tmp_path / "f.json")
    assert (code, error) == (0, "")
    assert "143,667,240" in out
    found = report.load(tmp_path / "f.json")
    assert set(found.tables) == {"memory", "channels", "filters"}
    assert found.tables["channels"][0]["theory"] == pytest.approx(64 * 180 / 244)
    assert found.command == "binnet bench figure4 --threads 1 --seconds 0.001 --quick"


def test_plot_without_matplotlib_names_the_extra(run, monkeypatch, tmp_path):
    monkeypatch.setattr(plot.importlib.util, "find_spec", lambda name: None)
    code, out, error = run("figure4", "--plot", tmp_path / "f.png")
    assert (code, out) == (1, "")
    assert "binnet[plot]" in error
    assert error.count("\n") == 1


def test_plot(run, few_points, tmp_path):
    pytest.importorskip("matplotlib")
    assert run("figure4", "--seconds", "0.001", "--plot", tmp_path / "f.png")[0] == 0
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    code, out, error = run("figure4", "--plot", tmp_path / "f.doc")
    assert (code, out) == (1, "")
    assert "f.doc: its name must end in one of" in error


# ---------------------------------------------------------------------------------------------- whole networks


def test_network_command(run, tmp_path):
    words = ("--in-channels", "1", "--num-classes", "10", "--batch", "2", "--seconds", "0.001")
    code, out, error = run("network", "lenet5", *words, "--threads", "1", "--json", tmp_path / "n.json")
    assert (code, error) == (0, "")
    assert "XnorConv" in out
    tables = report.load(tmp_path / "n.json").tables
    assert [row["batch"] for row in tables["network"]] == [1, 2]
    (size,) = tables["sizes"]
    assert size["signs"] + size["alpha"] + size["real"] < size["file"] < size["float32"]
    for batch in (1, 2):
        kinds = [row for row in tables["kinds"] if row["batch"] == batch]
        assert sum(row["share"] for row in kinds) == pytest.approx(1)
        assert {row["kind"]: row["steps"] for row in kinds} == {
            "Conv to floats": 2,
            "MaxPool to bits": 2,
            "XnorConv to bits": 1,
            "XnorConv to floats": 1,
        }
        assert all((row["gmacs"] > 0) == ("Conv" in row["kind"]) for row in kinds)


def test_network_from_a_file(run, tmp_path):
    binnet.pack(models.build("lenet5", in_channels=1, image_size=8)).save(tmp_path / "digits.h5")
    path, words = tmp_path / "n.json", ("--batch", "1", "--seconds", "0.001", "--threads", "1")
    code, _, error = run("network", tmp_path / "digits.h5", *words, "--json", path)
    assert (code, error) == (0, "")
    assert report.load(path).settings["target"] == "digits.h5"  # without the folders of whoever measured
    assert [row["batch"] for row in report.load(path).tables["network"]] == [1]


# ---------------------------------------------------------------------------------------------- a step of training


def tiny(**options):
    """A training step of lenet5 on two images of 8x8 pixels."""
    return training.Step.of(TrainConfig(model="lenet5", batch_size=2, **options), 3, 1, (8, 8))


class Stub:
    """A fake step that records its calls and advances a fake clock."""

    def __init__(self, name, clock, seconds):
        self.name, self.clock, self.seconds = name, clock, iter(seconds)
        self.done = []

    def prepare(self):
        self.done.append("prepare")
        return self

    def __call__(self):
        self.done.append("step")
        self.clock[0] += next(self.seconds)


def test_steps_take_turns_and_count_the_median_of_the_turns(monkeypatch):
    clock, ticks = [0.0], []
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])
    a = Stub("a", clock, [100, 2, 100, 9, 100, 4])  # the first of each turn is not counted
    b = Stub("b", clock, [100, 1, 1, 100, 8, 100, 7])
    found = training.times({"a": a, "b": b}, 6.0, 3, ticks.append)
    assert ticks == ["a", "b"] * 3
    assert found == {"a": 4, "b": 7}
    assert a.done == ["prepare", "step", "step"] * 3
    assert b.done[:4] == ["prepare", "step", "step", "step"]


def test_a_step_trains_and_leaves_the_weights_as_they_are(monkeypatch):
    step, seen = tiny(), []
    monkeypatch.setattr(
        training.Step, "build", lambda self, build=training.Step.build: seen.append(build(self)) or seen[-1]
    )
    call = step.prepare()
    [(network, optimizer)] = seen
    before = [p.data.copy() for p in network.parameters()]
    loss, _ = call()
    assert np.isfinite(loss)
    assert network.training
    assert any(state["square"].any() for state in optimizer.state)
    for parameter, old in zip(network.parameters(), before, strict=True):
        np.testing.assert_array_equal(parameter.data, old)
    assert step.state_bytes() == 3 * 4 * sum(p.data.size for p in network.parameters())


@pytest.mark.parametrize("model", models.names())
def test_every_variant_once(model):
    found = bench._variants(model)
    options = list(found.values())
    assert all(own not in options[:i] for i, own in enumerate(options))
    assert set(bench._AGAINST.values()) < set(found)
    for name in ("gradients", "bits"):
        assert all(dict(row.options) in options for row in reproduce.table(name).with_model(model).rows)
    for own in options:
        assert TrainConfig.from_dict(own).model == model
    assert model in training.DEFAULTS


@pytest.fixture
def few_variants(monkeypatch):
    """Three fake steps, without a measurement of memory."""
    some = ("full precision", "exact gradient", "ternary, 2 bits")
    every = bench._variants("lenet5")
    monkeypatch.setattr(bench, "_variants", lambda model: {name: every[name] for name in some})
    monkeypatch.setattr(training, "peak", lambda step: None if step.config.binarize == "float" else 12_345_678)


def test_training_command(run, few_variants, make_benchmarks, tmp_path):
    words = "lenet5 --batch 2 --image-size 8 --num-classes 3 --threads 1"
    code, out, error = run(
        "training", *words.split(), *["--seconds", "0.001", "--rounds", "1", "--json"], tmp_path / "t.json"
    )
    assert (code, error) == (0, "")
    assert "ternary, 2 bits" in out
    assert "12.3" in out
    found = report.load(tmp_path / "t.json")
    assert found.command == f"binnet bench training {words} --seconds 0.001 --rounds 1"
    [step] = found.tables["step"]
    assert (step["batch"], step["rows"], step["channels"], step["classes"]) == (2, 8, 1, 3)
    rows = found.tables["training"]
    assert [row["peak"] for row in rows] == [None, 12_345_678, 12_345_678]
    assert (rows[0]["float_ratio"], rows[1]["exact_ratio"]) == (1, 1)
    assert rows[2]["exact_ratio"] == pytest.approx(rows[2]["step_s"] / rows[1]["step_s"])
    assert rows[1]["state"] == rows[2]["state"] > 0
    assert make_benchmarks.main([str(tmp_path / "t.json"), "--out", str(tmp_path / "page.md")]) == 0
    assert "## A training step, lenet5, 1 thread\n" in (tmp_path / "page.md").read_text("utf-8")


@pytest.mark.compiled
@pytest.mark.skipif(memory.peak() is None, reason="this system does not tell")
def test_the_peak_of_a_step_holds_at_least_weights_moments_and_gradients():
    step = training.Step.of(TrainConfig(model="lenet5", batch_size=2), 10, 1, (28, 28))
    assert 4 / 3 * step.state_bytes() < training.peak(step) < 10 * step.state_bytes()


def test_a_new_process_that_dies_is_told_in_one_sentence(monkeypatch):
    class Broken(training.ProcessPoolExecutor):
        def submit(self, *_):
            raise BrokenProcessPool("it was killed")

    monkeypatch.setattr(training, "ProcessPoolExecutor", Broken)
    with pytest.raises(ValueError, match="too little memory"):
        training.peak(tiny())


# ---------------------------------------------------------------------------------------------- new processes


def test_cold_command(run, monkeypatch, tmp_path):
    jobs = [("nothing", "pass", False, False), ("own clock", "print(0.25)", True, True)]
    monkeypatch.setattr(cold, "_jobs", lambda: jobs)
    code, out, error = run("cold", "--repeats", "2", "--threads", "1", "--json", tmp_path / "c.json")
    assert (code, error) == (0, "")
    assert "own clock" in out
    rows = report.load(tmp_path / "c.json").tables["cold"]
    assert [len(row["times_s"]) for row in rows] == [2, 2]
    assert rows[1]["median_s"] == 0.25


def test_new_processes_import_this_binnet_and_get_an_empty_cache(tmp_path):
    code = "import os, binnet; assert not os.listdir(os.environ['BINNET_CACHE_DIR']); assert binnet.__file__ == {!r}"
    child = cold._Child(tmp_path, [])
    child.run(code.format(binnet.__file__), fresh=True, inside=False)
    with pytest.raises(ValueError, match="a new process failed: no"):
        child.run("raise SystemExit('no')", fresh=True, inside=False)


@pytest.mark.compiled
def test_the_programs_of_the_new_processes(tmp_path):
    (tmp_path / "cache").symlink_to(os.environ["BINNET_CACHE_DIR"])  # what other tests have compiled
    binnet.pack(models.build("lenet5", in_channels=1)).save(tmp_path / "model.h5")
    child, jobs = cold._Child(tmp_path, [str(tmp_path / "model.h5"), "1"]), cold._jobs()
    assert len(jobs) == cold.STEPS
    for _, code, fresh, inside in jobs:
        assert fresh or child.run(code, fresh, inside) > 0


# ---------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("network", "nonet"), "nonet is neither a file nor a network; the networks are lenet5"),
        (("network", "lenet5", "--batch", "0"), "--batch must be at least 1, got 0"),
        (("network", "lenet5", "--image-size", "3"), "at least 4x4 pixels"),
        (("layers", "--batch", "0"), "--batch must be at least 1, got 0"),
        (("layers", "--shapes", TINY, "--seconds", "0"), "more than 0 seconds, got 0"),
        (("layers", "--threads", "0"), "number of threads must be"),
        (("training", "lenet5", "--batch", "0"), "--batch must be at least 1, got 0"),
        (("training", "lenet5", "--rounds", "0"), "--rounds must be at least 1, got 0"),
        (("training", "lenet5", "--seconds", "0"), "more than 0 seconds, got 0"),
        (("training", "lenet5", "--image-size", "3"), "at least 4x4 pixels"),
        (("training", "lenet5", "--num-classes", "0"), "num_classes must be a whole number, at least 1, got 0"),
        (("cold", "--repeats", "0"), "--repeats must be at least 1, got 0"),
    ],
)
def test_wrong_numbers_and_names(run, words, match):
    code, out, error = run(*words)
    assert (code, out) == (1, "")
    assert match in error
    assert error.count("\n") == 1


def test_files_that_cannot_be_written_are_refused_before_measuring(run, tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "measure_peak", lambda *_: pytest.fail("measured before the path was looked at"))
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "below.json"):
        code, out, error = run("layers", "--json", path)
        assert (code, out) == (1, "")
        assert error.startswith(f"binnet: error: cannot write {path}: ")
        assert error.count("\n") == 1


def test_without_compilation_there_is_nothing_to_measure(run, monkeypatch):
    monkeypatch.setattr(config, "DISABLE_JIT", 1)
    code, out, error = run("layers", "--shapes", TINY)
    assert (code, out) == (1, "")
    assert "NUMBA_DISABLE_JIT" in error


@pytest.mark.parametrize("words", [(), ("nothing",), ("layers", "--seconds", "x"), ("training", "nonet")])
def test_wrong_command_lines(run, capsys, words):
    with pytest.raises(SystemExit) as stop:
        run(*words)
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


# ---------------------------------------------------------------------------------------------- the page


@pytest.fixture
def measured(tmp_path):
    """Files of two reports with invented results."""
    where = machine.this_machine().to_dict()
    memory = report.Report("figure4", "binnet bench figure4", where, {}, {"memory": figure4.memory()})
    cold_row = {"what": "a ~ b * |c|", "median_s": 1.5, "times_s": [1.5]}
    start = report.Report("cold", "binnet bench cold --repeats 1", where, {"repeats": 1}, {"cold": [cold_row]})
    memory.save(tmp_path / "figure4.json")
    start.save(tmp_path / "cold.json")
    return tmp_path


def test_the_page_holds_figures_machine_and_commands(measured, make_benchmarks, capsys):
    files = [str(measured / name) for name in ("cold.json", "figure4.json")]
    assert make_benchmarks.main([*files, "--out", str(measured / "page.md")]) == 0
    text = (measured / "page.md").read_text("utf-8")
    assert text.index("Figure 4 of the paper") < text.index("## Starting up")
    for part in (
        "143,667,240",
        "1.500",
        r"a ≈ b ∗ \|c\|",
        machine.this_machine().cpu,
        "binnet bench cold --repeats 1 --json",
    ):
        assert part in text
    assert str(measured) not in text
    assert "two sections before the last are by hand" in text


def test_what_is_written_by_hand_stays_when_the_page_is_made_again(measured, make_benchmarks):
    out, words = measured / "page.md", "<!-- by hand -->\n## Beside others\n\nTwice.\n<!-- end -->\n"
    for old in ("# Old\n", f"# Old\n\n{words}\n## Repeat it\n"):
        out.write_text(old, "utf-8")
        assert make_benchmarks.main([str(measured / "cold.json"), "--out", str(out)]) == 0
        text = out.read_text("utf-8")
        assert "# Old" not in text
        assert (words in text) == (words in old)
    assert text.index("## Starting up") < text.index("## Beside others") < text.index("## Repeat it")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "binnet benchmark 1"}', '{"format": 1, "tables": {}}'])
def test_files_of_other_kinds_are_refused(measured, make_benchmarks, capsys, content):
    (measured / "other.json").write_text(content)
    assert make_benchmarks.main([str(measured / "other.json"), "--out", str(measured / "page.md")]) == 1
    assert "was not written by binnet bench" in capsys.readouterr().err
    assert not (measured / "page.md").exists()


def test_a_report_comes_back_as_it_was(measured):
    found = report.load(measured / "figure4.json")
    assert found.tables == {"memory": figure4.memory()}
    assert json.loads((measured / "figure4.json").read_text())["format"] == report.FORMAT
