"""``binnet trace`` on the command line."""

import re

import numpy as np
import pytest
from rich.console import Console as RichConsole

import binnet.lab.trace
from binnet.console import Console
from binnet.lab.trace.terminal import show


def test_a_checkpoint(folder, image_file, picture, say):
    code, out, err = say("trace", folder / "best.h5", image_file)
    assert (code, err) == (0, "")
    t = picture.trace
    assert out.startswith("block1.body.conv1 of quick, xnor, from best.h5, on waves.png\n12 × 12 × 32 → 6 × 6 × 64, ")
    for symbol in (
        "I",
        "A",
        "K",
        "sign(I)",
        "W",
        "α",
        "sign(W)",
        "bits",
        "XOR",
        "popcount",
        "⊛",
        "⊙ Kα",
        "I ∗ W",
        "error",
    ):
        assert re.search(f"^{re.escape(symbol)} +[ES]", out, re.MULTILINE), symbol
    assert "7 of 7 comparisons with other code agree" in out
    assert "\x1b" not in out
    row, col, o = map(int, re.search(r"output pixel \((\d+), (\d+)\) of filter (\d+)", out).groups())
    words = re.findall(r"(?:input|filter|XOR) +([01· ]{71})", out)
    assert len(words) == 9
    first = t.x_words[2 * row - 1, 2 * col - 1, 0]
    assert words[0].replace(" ", "") == f"{int(first):064b}"[::-1][:32] + 32 * "·"
    assert f"288 − 2·{t.differing[row, col, o]} = " in out
    assert "… and 6 more words" in out


def test_a_packed_model_says_what_it_lacks(folder, image_file, say):
    code, out, _ = say("trace", folder / "packed.h5", image_file, "--layer", "block3.body.conv2")
    assert code == 0
    assert "not its real weights W" in out
    assert "real weights not in a packed model" in out


def test_a_network_by_name_and_a_page(image_file, tmp_path, say):
    path = tmp_path / "out.html"
    code, out, _ = say(
        "trace", "--model", "lenet5", image_file, "--image-size", 16, "--layer", "dense3", "--html", path
    )
    assert code == 0
    assert "The network is not trained" in out
    assert "channel 0 of the input" not in out  # one pixel needs no picture
    assert re.fullmatch(rf"{re.escape(str(path))}: \d\.\d MB, to be opened in a browser", out.splitlines()[-1])
    assert path.read_text("utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "required: IMAGE"),
        (["{image}"], "either a FILE or --model NAME"),
        (["{folder}/best.h5", "{image}", "--model", "quick"], "either a FILE or --model NAME"),
        (["--model", "vgg", "{image}"], "unknown model 'vgg'; there are: quick-tiny20, quick2-tiny20, "),
        (["{folder}/none.h5", "{image}"], "there is no file"),
        (["{image}", "{image}"], "is not a model file"),
        (["{folder}/best.h5", "{folder}/best.h5"], "it is none of these"),
        (["{folder}/best.h5", "{image}", "--layer", "dense"], "is not binary in best.h5; there are: block1"),
        (["{folder}/best.h5", "{image}", "--image-size", "9999"], "must lie in 1…1024"),
        (["{folder}/best.h5", "{image}", "--html", "{folder}"], "cannot be replaced"),
    ],
)
def test_bad_input_is_one_sentence(words, message, folder, image_file, say):
    code, _, err = say("trace", *(word.format(folder=folder, image=image_file) for word in words))
    assert code in (1, 2)
    assert message in err
    assert err.count("\n") == 1
    assert err.startswith("binnet")


def test_steps_that_disagree_make_the_exit_code_1(folder, image_file, say, monkeypatch):
    wrong = binnet.lab.trace.Check("nothing is so", 0.25, 0)
    monkeypatch.setattr("binnet.lab.trace.picture.against_network", lambda t, y: wrong)
    code, out, _ = say("trace", folder / "best.h5", image_file)
    assert code == 1
    assert "failed: nothing is so (difference 0.25)" in out
    assert "6 of 7 comparisons" in out


def test_pictures_in_colour(picture):
    console = Console()
    console._rich = RichConsole(force_terminal=True, color_system="truecolor", width=100, record=True)
    show(picture, console)
    text = console._rich.export_text(styles=True)
    assert "▀" in text
    assert "38;2;" in text
    lines = [line for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines() if "▀" in line]
    assert {len(line.rstrip()) for line in lines} == {3 * 22 + 4}
    assert len(lines) == 2 * 11


def test_maps_of_one_value_and_of_nan(picture):
    from binnet.lab.trace.terminal import _drawn

    for value in (0.0, -1.0, np.nan):
        assert {len(line) for line in _drawn(np.full((3, 5), value, np.float32), True)} == {22}
        assert {len(line) for line in _drawn(np.full((5, 3), value, np.float32), False)} == {22}
