"""The answer of the whole network, next to that of its packed form, and the chapters of the steps."""

import dataclasses
import re

import numpy as np
import pytest

import binnet
from binnet.lab.trace import fresh_source, open_source, steps, trace_image
from binnet.lab.trace.answer import answer_of


def test_the_network_and_its_packed_form(folder, image_file, picture):
    answer = picture.answer
    packed = dict(binnet.load(folder / "packed.h5").predict(image_file))
    assert sum(answer.probabilities) == pytest.approx(1)
    assert answer.packed == pytest.approx([packed[name] for name in answer.names], rel=1e-6)
    assert (answer.count, answer.verdict) == (2, "the same class")


def test_a_packed_model_alone(folder, image_file):
    answer = trace_image(open_source(str(folder / "packed.h5")), image_file).answer
    ranking = binnet.load(folder / "packed.h5").predict(image_file)
    assert [*answer.names] == [name for name, _ in ranking]
    assert answer.probabilities == pytest.approx([share for _, share in ranking], rel=1e-6)
    assert answer.packed is answer.verdict is None


def test_another_answer_of_the_packed_form_is_told(picture):
    other = dataclasses.replace(picture.answer, packed_name="a zebra")
    assert other.verdict == "another class, a zebra"
    told = steps.steps(dataclasses.replace(picture, answer=other))[-1]
    assert ("packed model", "another class, a zebra") in told.numbers


def test_no_answer_without_a_trained_network_or_finite_scores(folder, image_file):
    assert trace_image(fresh_source("lenet5", 16), image_file, "dense3").answer is None
    source = open_source(str(folder / "packed.h5"))
    assert answer_of(source, np.full((1, 24, 24, 1), 0.1, np.float32)) is not None
    nodes = source.model.graph.nodes
    last = dataclasses.replace(nodes[-1], bias=np.full_like(nodes[-1].bias, np.inf))
    model = binnet.PackedModel(type(source.model.graph)((*nodes[:-1], last)), source.model.info)
    broken = dataclasses.replace(source, model=model)
    assert answer_of(broken, np.full((1, 24, 24, 1), 0.1, np.float32)) is None


def test_chapters_are_those_of_the_documentation(root):
    for words in (*steps.WORDS, steps.ANSWER):
        (page,) = (root / "docs").rglob(f"{words.chapter.page}.md")
        assert re.search(rf"^# {re.escape(words.chapter.title)}$", page.read_text("utf-8"), re.MULTILINE), words.key
