"""The paper's tables on other images: rows, resuming after an interruption, and the report."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from binnet import Tensor, cli, models, ops
from binnet.console import Console
from binnet.lab import reproduce
from binnet.lab.reproduce import Accuracy, Claim, Outcome, Run, costs, report, runs
from binnet.modelfile.container import StorageError
from binnet.train import Result
from binnet.train.config import ConfigError, TrainConfig

ROOT = Path(__file__).parents[3]
OPTIONS = {"dataset": "digits", "epochs": 1, "batch_size": 256}
SMALL = reproduce.table("table1").with_model("lenet5").only(["lenet5-bwn", "lenet5-xnor"])
ONE = reproduce.table("table1").with_model("lenet5").only(["lenet5-float"])
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A folder with two finished rows."""
    out = tmp_path_factory.mktemp("reproduce")
    reproduce.run(SMALL, OPTIONS, out, QUIET)
    return out


# ---------------------------------------------------------------------------------------------- tables


@pytest.mark.parametrize("name", reproduce.NAMES)
def test_rows_can_be_trained_and_told_apart(name):
    table = reproduce.table(name)
    assert len({row.name for row in table.rows}) == len({row.label for row in table.rows}) == len(table.rows)
    for row in table.rows:
        config = TrainConfig.from_dict({"dataset": "digits", **row.options})
        assert config.to_dict() | dict(row.options) == config.to_dict()


@pytest.mark.parametrize("name", reproduce.NAMES)
def test_claims_are_about_rows_and_true_in_the_paper(name):
    """The paper's conclusions hold for the paper's own accuracies."""
    table = reproduce.table(name)
    labels = {row.label for row in table.rows}
    paper = {r.label: Accuracy((r.paper[0],), 10**12) for r in table.rows if r.paper}
    for claim in table.claims:
        assert {claim.better, claim.worse} <= labels
        verdict = claim.verdict(paper)
        assert verdict is None or verdict.words != "disagrees"


def test_what_is_not_the_same_has_another_folder():
    found = {}
    several = {"table2", "blocks", "gap"}
    tables = [reproduce.table(name).with_model("quick") for name in set(reproduce.NAMES) - several]
    # The rows of gap have the options of another recipe around them.
    for row in (row for table in [*tables, reproduce.table("blocks")] for row in table.rows):
        assert found.setdefault(row.name, row.options) == row.options


def test_networks_of_two_tables_share_a_folder():
    names = [{row.name for row in reproduce.table(name).rows} for name in ("table1", "table3")]
    assert names[0] & names[1] == {"alexnet-bwn", "alexnet-xnor"}


@pytest.mark.parametrize(
    ("margin", "a", "words"),
    [
        (0.0, 50.1, "agrees"),
        (0.0, 50.0, "cannot tell"),
        (0.0, 49.9, "disagrees"),
        (2.0, 48.1, "agrees"),
        (2.0, 48.0, "cannot tell"),
        (2.0, 47.9, "disagrees"),
        (2.0, 60.0, "agrees"),
    ],
)
def test_claims(margin, a, words):
    """On so many images that chance is only 0.02 points."""
    verdict = Claim("", "a", "b", margin).verdict({"a": Accuracy((a,), 50_000_000), "b": Accuracy((50.0,), 50_000_000)})
    assert verdict.words == words
    assert verdict.ahead == pytest.approx(a - 50)


def test_a_claim_about_a_row_that_was_not_run():
    assert Claim("", "a", "b").verdict({"a": Accuracy((60.0,), 100)}) is None


def test_the_rows_of_blocks_turn_one_switch_after_another():
    names = [row.name for row in reproduce.table("blocks").rows]
    assert names[0] == "quick2-float"
    assert names[2] == "quick2-xnor-activation-none-threshold-zero-downsample-stride"
    assert names[8:10] == ["quick2-xnor-polynomial-3-stages-teacher-0", "quick2-xnor-polynomial-3-stages"]
    assert names[-2:] == ["quick2-xnor-polynomial-first_bits-2", "quick2-xnor-polynomial-ema"]
    assert all(re.fullmatch(r"[\w-]+", name, re.ASCII) for name in names)


def test_the_gap_is_measured_with_its_own_recipe(tmp_path, monkeypatch):
    """The rows of real networks have one stage, the others those of the table; all have the epochs of the recipe."""
    configs = []
    monkeypatch.setattr(runs, "_run", lambda config, folder, console: configs.append(config))
    monkeypatch.setattr(reproduce, "write", lambda *args: tmp_path / "report.md")
    (tmp_path / "report.md").write_text("")
    monkeypatch.setattr(runs, "Outcome", lambda *args: None)
    assert cli.main(["reproduce", "gap", "--dataset", "fashion-mnist", "--data", "images", "--out", str(tmp_path)]) == 0
    assert [(c.model, c.binarize, c.stages, c.binary_gradient) for c in configs] == [
        ("quick2", "float", 1, "off"),
        ("quick", "xnor", 1, "off"),
        ("quick2", "xnor", 3, "off"),
        ("quick2", "xnor", 3, "ternary"),
    ]
    assert {(c.recipe, c.epochs, c.ste) for c in configs} == {("best", 60, "polynomial")}


def test_every_switch_of_blocks_changes_a_training():
    """Parameters, scores or gradients of the first step, or what goes on around it, differ from those of other rows."""
    x = Tensor(np.random.default_rng(0).standard_normal((4, 16, 16, 3), dtype=np.float32))
    found = []
    for row in reproduce.table("blocks").rows:
        config = TrainConfig.from_dict(dict(row.options))
        own = {**config.binary_options(), **config.own_options()}
        network = models.build(config.model, config.binarize, 10, 3, 16, **own).train()
        loss = ops.cross_entropy(network(x), np.arange(4))
        loss.backward()
        names = tuple(name for name, _ in network.named_parameters())
        around = config.stages, config.teacher_share, config.ema
        found.append((names, loss.item(), network.conv1.weight.grad.tobytes(), around))
    assert len(set(found)) == len(found)


def test_the_help_names_every_table(capsys):
    with pytest.raises(SystemExit):
        cli.main(["reproduce", "--help"])
    words = capsys.readouterr().out.split("positional arguments:")[1].split("options:")[0]
    names = re.findall(r"[a-z]+\d?", words.split("TABLE")[1].split(";")[0])
    assert [name for name in names if name != "or"] == list(reproduce.NAMES)


def test_unknown_names_list_those_there_are():
    with pytest.raises(ValueError, match=r"unknown table 'table4'; there are: table1, .*, bits, blocks"):
        reproduce.table("table4")
    with pytest.raises(ValueError, match=r"unknown row 'bwn' of table1; there are: alexnet-float, alexnet-bwn"):
        reproduce.table("table1").only(["bwn"])
    with pytest.raises(ValueError, match=r"--model cannot be given for table2"):
        reproduce.table("table2").with_model("quick")


# ---------------------------------------------------------------------------------------------- runs


def test_each_row_has_a_run_folder_with_its_result(done):
    for name, mode in (("lenet5-bwn", "bwn"), ("lenet5-xnor", "xnor")):
        result = json.loads((done / name / "result.json").read_text())
        assert 0.2 < result["top1"] <= 1
        assert result["n"] == 360
        assert f'binarize = "{mode}"' in (done / name / "config.toml").read_text()


def test_finished_rows_are_not_run_again(done):
    before = {p: p.stat().st_mtime_ns for p in done.rglob("*.h5")}
    outcomes = reproduce.run(SMALL, OPTIONS, done, QUIET)
    assert {p: p.stat().st_mtime_ns for p in done.rglob("*.h5")} == before
    assert [len(run.epochs) for outcome in outcomes for run in outcome.runs] == [1, 1]
    assert float(outcomes[0].runs[0].epochs[0]["val_top1"]) == pytest.approx(outcomes[0].top1.mean / 100, abs=1e-6)


def test_an_interrupted_row_goes_on(done, tmp_path):
    """A row without a result is resumed from its last checkpoint, here that of the last epoch, with the same result."""
    out = tmp_path / "out"
    shutil.copytree(done, out)
    (out / "lenet5-xnor" / "result.json").unlink()
    outcomes = reproduce.run(SMALL, OPTIONS, out, QUIET)
    before = json.loads((done / "lenet5-xnor" / "result.json").read_text())
    assert outcomes[1].runs[0].result.top1 == before["top1"]


def test_a_folder_with_another_run_is_refused(done):
    with pytest.raises(ConfigError, match=r"lenet5-bwn holds a run with epochs 1, and 2 is asked for"):
        reproduce.run(SMALL, {**OPTIONS, "epochs": 2}, done, QUIET)


def test_a_row_that_is_not_possible_is_found_before_the_first_is_trained(tmp_path):
    with pytest.raises(ConfigError, match="--epochs must be at least 3, one for each of the --stages, got 2"):
        reproduce.run(reproduce.table("gap"), {"dataset": "digits", "epochs": 2}, tmp_path, QUIET)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("option", [{"binarize": "xnor"}, {"model": "quick"}])
def test_what_the_rows_differ_in_cannot_be_given(tmp_path, option):
    with pytest.raises(ConfigError, match=rf"^--{next(iter(option))} cannot be given here"):
        reproduce.run(SMALL, {**OPTIONS, **option}, tmp_path, QUIET)


def test_a_damaged_result_is_named(done, tmp_path):
    shutil.copytree(done, tmp_path / "out")
    (tmp_path / "out" / "lenet5-bwn" / "result.json").write_text("{")
    with pytest.raises(StorageError, match=r"result\.json is damaged"):
        reproduce.run(SMALL, OPTIONS, tmp_path / "out", QUIET)


# ---------------------------------------------------------------------------------------------- seeds


@pytest.fixture(scope="module")
def seeded(tmp_path_factory):
    """A folder with one row of two seeds, and beside it the same row of seed 0."""
    out = tmp_path_factory.mktemp("seeds") / "out"
    reproduce.run(ONE, OPTIONS, out, QUIET)
    reproduce.run(ONE, OPTIONS, out, QUIET, seeds=2)
    return out


def test_each_seed_has_its_own_folder(seeded):
    assert {path.name for path in seeded.iterdir()} == {"lenet5-float", "lenet5-float-seed1", "lenet5-float-seed2"}
    for seed in (1, 2):
        assert f"seed = {seed}\n" in (seeded / f"lenet5-float-seed{seed}" / "config.toml").read_text()


def test_runs_of_seeds_are_reused_and_read_in_order(seeded):
    before = {p: p.stat().st_mtime_ns for p in seeded.rglob("*.h5")}
    [outcome] = reproduce.run(ONE, OPTIONS, seeded, QUIET, seeds=2)
    assert {p: p.stat().st_mtime_ns for p in seeded.rglob("*.h5")} == before
    assert [run.config.seed for run in outcome.runs] == [1, 2]
    results = [json.loads((seeded / f"lenet5-float-seed{seed}" / "result.json").read_text()) for seed in (1, 2)]
    assert outcome.top1.values == tuple(100 * result["top1"] for result in results)
    assert outcome.top1.n == 360


def test_one_seed_is_what_it_was_without(seeded):
    [outcome], [same] = (reproduce.run(ONE, OPTIONS, seeded, QUIET, seeds=seeds) for seeds in (1, None))
    assert outcome == same
    assert [run.config.seed for run in outcome.runs] == [0]


def test_records_of_several_seeds_come_before_a_single_one(seeded, tmp_path):
    assert [[run.config.seed for run in o.runs] for o in reproduce.recorded(ONE, seeded)] == [[1, 2]]
    shutil.copytree(seeded, tmp_path / "out")
    shutil.copytree(seeded / "lenet5-float-seed2", tmp_path / "out" / "lenet5-float-x-seed3")  # of another row
    (tmp_path / "out" / "lenet5-float-seed1" / "result.json").unlink()  # interrupted
    assert [[run.config.seed for run in o.runs] for o in reproduce.recorded(ONE, tmp_path / "out")] == [[2]]


def test_a_run_of_another_seed_in_the_folder_is_refused(seeded, tmp_path):
    shutil.copytree(seeded / "lenet5-float", tmp_path / "lenet5-float-seed1")
    with pytest.raises(ConfigError, match=r"holds a run with seed 0, and 1 is asked for"):
        reproduce.run(ONE, OPTIONS, tmp_path, QUIET, seeds=2)


def test_steps_are_measured_for_the_networks_of_the_first_seed(seeded, tmp_path, measures):
    shutil.copytree(seeded, tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "lenet5-float")
    table = reproduce.table("bits").with_model("lenet5").only(["lenet5-float"])
    [outcome] = reproduce.run(table, OPTIONS, tmp_path / "out", QUIET, seeds=2)
    assert measures == ["lenet5-float"]
    assert outcome.step == 1


# ---------------------------------------------------------------------------------------------- report


def outcome(row, *top1):
    """An outcome with a run for each accuracy: of seed 0, or of the seeds 1 and on when there are several."""

    def run(seed, share):
        epochs = [{"epoch": str(i), "val_top1": str(share - 0.01), "train_loss": "1.0"} for i in (1, 2)]
        return Run(TrainConfig(epochs=2, seed=seed), Result("out", share, 0.9, 1000, 100, 10, 60.0 + seed), epochs)

    runs = [run(0, *top1)] if len(top1) == 1 else [run(seed, share) for seed, share in enumerate(top1, 1)]
    return Outcome(row, tuple(runs))


def test_the_report_has_measured_and_published_figures_side_by_side():
    rows = reproduce.table("table1").rows
    text = report.markdown(reproduce.table("table1"), [outcome(rows[0], 0.6), outcome(rows[1], 0.58)])
    assert "| full precision | alexnet-float | 60.0 | 90.0 | 59.0 | 1.00 | 56.6 | 80.2 | 60 s |" in text
    assert "| BWN is within 2.9 points of full precision | -2.0 | cannot tell |" in text
    assert "XNOR-Net is within" not in text, "that row was not run"
    assert "seed 0, epochs 2" in text


# At 60 % of 1,000 images the noise is 4.4 points, on both sides of the limit of -2.9.
@pytest.mark.parametrize(
    ("bwn", "verdict"),
    [
        (0.616, "+1.6 | agrees |"),
        (0.614, "+1.4 | cannot tell |"),
        (0.528, "-7.2 | cannot tell |"),
        (0.526, "-7.4 | disagrees |"),
    ],
)
def test_what_is_said_of_a_conclusion(bwn, verdict):
    rows = reproduce.table("table1").rows
    text = report.markdown(reproduce.table("table1"), [outcome(rows[0], 0.6), outcome(rows[1], bwn)])
    assert f"| BWN is within 2.9 points of full precision | {verdict}" in text


def test_a_row_without_a_published_figure():
    table = reproduce.table("table3")
    row = next(row for row in table.rows if row.options.get("use_k"))
    text = report.markdown(table, [outcome(table.rows[0], 0.6), outcome(row, 0.6)])
    assert "| 1.00 |  |  | 60 s |" in text


def test_a_table_without_published_figures_and_costs_has_no_columns_for_them():
    table = reproduce.table("blocks")
    text = report.markdown(table, [outcome(table.rows[1], 0.6), outcome(table.rows[2], 0.7)])
    assert "| training loss | time |" in text
    assert "| 70.0 | 90.0 | 69.0 | 1.00 | 60 s |" in text
    assert "| expected | here | |" in text
    assert "| a shortcut around each convolution is better than one around two (Bi-Real Net) | +10.0 | agrees |" in text
    assert len({line.count("|") for line in text.splitlines() if line.startswith("|")}) == 2, "two tables"


def test_the_report_of_several_seeds_has_means_and_deviations():
    rows = reproduce.table("table1").rows
    text = report.markdown(reproduce.table("table1"), [outcome(rows[0], 0.60, 0.63, 0.66), outcome(rows[1], 0.5, 0.51)])
    assert "| full precision | alexnet-float, 3 seeds | 63.0 ± 3.0 | 90.0 ± 0.0 | 62.0 ± 3.0 | 1.00 |" in text
    assert "| alexnet-bwn, 2 seeds | 50.5 ± 0.7 |" in text
    assert "80.2 | 62 s |" in text
    assert "images; seeds 1, 2, 3; epochs 2; binnet" in text
    assert "± is the sample standard deviation" in text


def test_the_files(done, tmp_path):
    outcomes = reproduce.run(SMALL, OPTIONS, done, QUIET)
    path = reproduce.write(SMALL, outcomes, tmp_path, "binnet x")
    assert path == tmp_path / "table1.md"
    pytest.importorskip("matplotlib")
    assert (tmp_path / "table1.png").read_bytes().startswith(b"\x89PNG")
    assert "![curves](table1.png)" in path.read_text()
    assert "binnet x" in path.read_text()


def test_a_folder_that_cannot_be_written(done, tmp_path):
    outcomes = reproduce.run(SMALL, OPTIONS, done, QUIET)
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        reproduce.write(SMALL, outcomes, tmp_path / "file", "binnet x")


# ---------------------------------------------------------------------------------------------- costs

COSTLY = reproduce.table("bits").with_model("lenet5").only(["lenet5-xnor", "lenet5-float"])


@pytest.fixture(scope="module")
def costly(done, tmp_path_factory):
    """The same folder with one more row, and with the costs of a step."""
    out = tmp_path_factory.mktemp("costs") / "out"
    shutil.copytree(done, out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(costs, "_SECONDS", 1e-3)
        patch.setattr(costs, "_ROUNDS", 1)
        reproduce.run(COSTLY, OPTIONS, out, QUIET)
    return out


@pytest.fixture
def measures(monkeypatch):
    """Fake measurement: the names of the measured rows, each a second slower than the previous one."""
    names = []
    monkeypatch.setattr(
        costs, "times", lambda steps, *_: names.extend(steps) or {n: i + 1.0 for i, n in enumerate(steps)}
    )
    return names


def test_costs_are_measured_once(costly, measures):
    assert not list(costly.glob("table1*"))
    seconds = json.loads((costly / "bits-steps.json").read_text())["seconds"]
    assert list(seconds) == ["lenet5-xnor", "lenet5-float"]
    assert min(seconds.values()) > 0
    for outcomes in (reproduce.run(COSTLY, OPTIONS, costly, QUIET), reproduce.recorded(COSTLY, costly)):
        assert [o.step for o in outcomes] == list(seconds.values())
    assert reproduce.recorded(SMALL, costly)[0].costs is None
    assert measures == []


def test_a_row_without_costs_has_all_measured_again(costly, tmp_path, measures):
    shutil.copytree(costly, tmp_path / "out")
    path = tmp_path / "out" / "bits-steps.json"
    path.write_text(json.dumps({"seconds": {"lenet5-xnor": 5}, "machine": "m"}))
    assert reproduce.recorded(COSTLY, tmp_path / "out")[0].costs is None
    outcomes = reproduce.run(COSTLY, OPTIONS, tmp_path / "out", QUIET)
    assert measures == [o.row.name for o in outcomes] == ["lenet5-xnor", "lenet5-float"]
    assert [o.step for o in outcomes] == [o.step for o in reproduce.recorded(COSTLY, tmp_path / "out")] == [1, 2]


@pytest.mark.parametrize("text", ["{", "[]", '{"seconds": {}}', '{"seconds": {"a": "x"}, "machine": ""}'])
def test_damaged_costs_are_named(costly, tmp_path, text):
    shutil.copytree(costly, tmp_path / "out")
    (tmp_path / "out" / "bits-steps.json").write_text(text)
    with pytest.raises(StorageError, match=r"bits-steps\.json is damaged"):
        reproduce.recorded(COSTLY, tmp_path / "out")


def test_the_report_has_what_a_step_costs_in_the_place_of_the_papers_figures():
    table = reproduce.table("gradients")
    known = costs.Costs({row.name: 0.1 + 0.02 * i for i, row in enumerate(table.rows)}, "this machine, 1 thread")
    outcomes = [replace(outcome(row, 0.6), costs=known) for row in table.rows]
    text = report.markdown(table, outcomes)
    assert "| ms a step | of the first |" in text
    assert "| ternary | quick-xnor-grad-ternary | 60.0 | 90.0 | 59.0 | 1.00 | 120.0 | 1.20 | 60 s |" in text
    assert r"| sign · max\|g\|, as printed |" in text
    assert "of 32 images, all rows in turn; this machine, 1 thread." in text


def test_accuracy_against_cost_has_a_labelled_point_for_each_row():
    axes = pytest.importorskip("matplotlib.figure").Figure().subplots()
    table = reproduce.table("bits")
    known = costs.Costs({row.name: 0.1 + 0.05 * i for i, row in enumerate(table.rows)}, "")
    report._against_cost(axes, [replace(outcome(row, 0.6), costs=known) for row in table.rows])
    assert [line.get_xydata().tolist() for line in axes.lines] == [
        [[pytest.approx(1 + 0.5 * i), 0.6]] for i in range(len(table.rows))
    ]
    assert [text.get_text() for text in axes.texts] == [row.label for row in table.rows]


# ---------------------------------------------------------------------------------------------- command line


def test_the_command(done, capsys):
    words = ["table1", "--model", "lenet5", "--rows", "lenet5-bwn,lenet5-xnor", "--out", str(done)]
    assert cli.main(["reproduce", *words, "--dataset", "digits", "--epochs", "1", "--batch-size", "256"]) == 0
    text = capsys.readouterr().out
    assert "| XNOR-Net | lenet5-xnor |" in text
    assert "binnet reproduce table1 --rows lenet5-bwn,lenet5-xnor" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["table9"], "unknown table 'table9'"),
        (["table1", "--rows", "x"], "unknown row 'x' of table1"),
        (["table2", "--model", "quick"], "--model cannot be given for table2"),
        (["table1", "--binarize", "bwn"], "--binarize cannot be given here"),
        (["blocks", "--model-options", "width=3"], "--model-options cannot be given here"),
        (["table1", "--seeds", "2", "--seed", "7"], "--seed and --seeds cannot be given together"),
        (["table1", "--seeds", "0"], "--seeds must be at least 1, got 0"),
    ],
)
def test_wrong_words(tmp_path, capsys, words, message):
    assert cli.main(["reproduce", *words, "--out", str(tmp_path / "out")]) == 1
    errors = capsys.readouterr().err
    assert message in errors
    assert "Traceback" not in errors


# ---------------------------------------------------------------------------------------------- records


def test_a_record_is_three_small_files_of_each_finished_run(done, tmp_path):
    name = "lenet5-xnor"
    (tmp_path / name).mkdir()
    for file in ("config.toml", "metrics.csv", "result.json"):
        shutil.copy(done / name / file, tmp_path / name)
    [outcome] = reproduce.recorded(SMALL, tmp_path)
    [_, same] = reproduce.run(SMALL, OPTIONS, done, QUIET)
    assert outcome == same


def test_a_record_without_its_configuration_is_an_error(done, tmp_path):
    (tmp_path / "lenet5-bwn").mkdir()
    shutil.copy(done / "lenet5-bwn" / "result.json", tmp_path / "lenet5-bwn")
    with pytest.raises(ConfigError, match=r"config\.toml"):
        reproduce.recorded(SMALL, tmp_path)


@pytest.fixture
def make_results(script, tmp_path, monkeypatch):
    """The script docs/make_results.py as a module, with records and pictures in another folder."""
    module = script("docs/make_results.py")
    monkeypatch.setattr(module, "DOCS", tmp_path)
    monkeypatch.setattr(module, "RECORDS", tmp_path / "results")
    return module


def test_records_and_costs_fill_the_page(costly, make_results, tmp_path):
    make_results.take(costly, "few-digits")
    page = "before\n<!-- bits few-digits lenet5 -->\nstale words\n<!-- end -->\nafter\n"
    filled = make_results.filled(page, pictures=False)
    assert "| lenet5-float |" in filled
    assert "| ms a step |" in filled
    assert "stale words" not in filled
    assert make_results.filled(filled, pictures=False) == filled
    assert sorted(p.name for p in (tmp_path / "results" / "few-digits").iterdir()) == [
        "bits-steps.json",
        "lenet5-bwn",
        "lenet5-float",
        "lenet5-xnor",
    ]


def test_records_of_several_seeds_fill_the_page(seeded, make_results, tmp_path):
    make_results.take(seeded, "seeds")
    filled = make_results.filled("<!-- table1 seeds lenet5 -->\n<!-- end -->\n", pictures=False)
    assert "| full precision | lenet5-float, 2 seeds |" in filled
    assert "seeds 1, 2; epochs 1" in filled


def test_the_results_page_says_what_its_records_say():
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "make_results.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
