"""The page contains the arrays of the trace, is self-contained, and escapes names."""

import base64
import dataclasses
import html
import json
import re

import numpy as np
import pytest

from binnet.lab.trace import Layer, embedded, fit, page, trace_filters, write_page
from binnet.lab.trace.page_arrays import Part, arrays, part_of
from binnet.lab.trace.steps import ANSWER, WORDS, number, steps


def data_of(text):
    """The JSON data that the page's script reads."""
    return json.loads(re.search(r'<script type="application/json" id="trace-data">(.*?)</script>', text, re.DOTALL)[1])


def decoded(array):
    return np.frombuffer(base64.b64decode(array["data"]), array["type"]).reshape(array["shape"])


def test_the_page_holds_the_arrays(picture):
    t, found = picture.trace, {name: decoded(a) for name, a in data_of(page(picture))["arrays"].items()}
    for name in ("x", "mean_abs_x", "K", "differing", "dots", "y", "conv"):
        np.testing.assert_array_equal(found[name], getattr(t, name))
    np.testing.assert_array_equal(found["weight"], t.layer.weight)
    np.testing.assert_array_equal(found["alpha"], t.layer.alpha)
    np.testing.assert_array_equal(found["x_words"].view(np.uint64), t.x_words)
    np.testing.assert_array_equal(found["weight_words"].view(np.uint64), t.weight_words)
    np.testing.assert_allclose(found["correlations"], fit(t.y, t.conv).correlations, rtol=1e-6)


def test_the_page_needs_nothing_else(picture):
    text = page(picture)
    assert "http" not in re.sub(r'"data":"[^"]*"', "", text).replace("http-equiv", "")
    sources = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert sources
    assert all(source.startswith("data:") for source in sources)
    assert not re.search(r"\bimport\b|@import|url\(|fetch\(|\$[a-z]", text.split("<script>", 1)[1])
    assert text.count("</script>") == text.count("<script") == 3


def test_names_of_strangers_stay_text(picture):
    layer = dataclasses.replace(picture.trace.layer, name="</script><b>x</b>")
    trace = dataclasses.replace(picture.trace, layer=layer)
    strange = dataclasses.replace(
        picture, trace=trace, model='"><img src=x>', image="</script>", before=("<i>", "&amp;"), notes=("<u>",)
    )
    text = page(strange)
    assert text.count("</script>") == 3
    for tag in ("<b>x</b>", "<img src=x>", "<u>"):
        assert tag not in text
    assert data_of(text)["before"] == ["<i>", "&amp;"]
    assert data_of(text)["layer"] == "</script><b>x</b>"


@pytest.mark.slow
def test_a_typical_layer_stays_below_five_megabytes(rng):
    for shape, filters in (
        ((56, 56, 64), (64, 3, 3, 64)),
        ((7, 7, 512), (512, 3, 3, 512)),
        ((1, 1, 9216), (4096, 1, 1, 9216)),
    ):
        x = rng.standard_normal(shape, np.float32)
        layer = Layer.of_weight(rng.standard_normal(filters, np.float32), padding=filters[1] // 2)
        pixels = rng.integers(0, 256, (300, 200, 3), np.uint8)
        assert 3e6 < len(page(trace_filters(x, layer, pixels)).encode()) < 5e6


def test_what_does_not_fit_is_left_out_and_said(picture):
    t = picture.trace
    assert part_of(t) == Part(64, 32)
    part = part_of(t, 60_000)
    assert 1 <= part.filters < 64
    found = {name: decoded(a) for name, a in arrays(t, part).items()}
    assert sum(array.nbytes for array in found.values()) <= 60_000
    np.testing.assert_array_equal(found["y"], t.y[..., : part.filters])
    np.testing.assert_array_equal(found["weight"], t.layer.weight[: part.filters, ..., : part.channels])
    assert len(found["alpha"]) == 64
    text = page(picture, 60_000)
    assert f"the first {part.filters} of 64 filters" in text
    assert data_of(text)["start"]["filter"] < part.filters
    assert part_of(t, 100) == Part(1, 1)


def test_large_counts_take_more_than_16_bits(rng):
    x, weight = rng.standard_normal((1, 1, 40_000)), np.ones((1, 1, 1, 40_000))
    picture = trace_filters(np.abs(x), Layer.of_weight(weight), np.zeros((1, 1, 1), np.uint8))
    found = data_of(page(picture))["arrays"]
    assert found["dots"]["type"] == "int32"
    assert decoded(found["dots"]).item() == 40_000


def test_the_steps_are_those_of_the_issue_in_order(picture):
    keys = [step["key"] for step in data_of(page(picture))["steps"]]
    assert keys == [words.key for words in (*WORDS, ANSWER)]
    assert keys[1:-1] == [
        "x", "mean_abs_x", "K", "sign_x", "weight", "alpha", "weight_sign", "words", "xor", "popcount", "dots", "y",
        "conv", "error",
    ]  # fmt: skip


def test_numbers_of_the_steps(picture):
    t, told = picture.trace, {step.words.key: step for step in steps(picture)}
    assert told["x"].shape == "12×12×32"
    assert ("below zero", f"{(t.x < 0).mean():.1%}") in told["x"].numbers
    assert ("range", f"{number(t.K.min())} … {number(t.K.max())}") in told["K"].numbers
    assert told["xor"].numbers == (("tail bits a tap", "32"),)
    closeness = dict(told["error"].numbers)
    assert closeness["correlation with K"] == number(fit(t.y, t.conv).correlation)
    assert closeness["error without K"] == number(fit(t.y_without_k, t.conv).error)
    for step in told.values():
        assert step.words.title in page(picture)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (-88, "−88"), (1234567, "1,234,567"), (-0.123456, "−0.1235"), (np.nan, "–"), (1e-9, "1e−09")],
)
def test_how_numbers_are_written(value, text):
    assert number(value) == text


def test_written_whole_or_not_at_all(picture, tmp_path):
    path = tmp_path / "deep" / "out.html"
    size = write_page(picture, path)
    assert path.stat().st_size == size
    assert path.read_text("utf-8") == page(picture)
    with pytest.raises(OSError, match="not a file"):
        write_page(picture, tmp_path)


def test_embedded_holds_the_page(picture):
    frame = embedded(picture, height="30rem")
    assert html.unescape(re.search(r'srcdoc="([^"]*)"', frame)[1]) == page(picture)
    assert 'title="binnet trace of block1.body.conv1"' in frame
    assert "height: 30rem" in frame


def test_a_check_that_fails_is_shown(picture):
    wrong = dataclasses.replace(picture.checks[0], difference=0.5)
    assert "✗ failed:" in page(dataclasses.replace(picture, checks=(wrong,)))
    assert "✗" not in page(picture)
