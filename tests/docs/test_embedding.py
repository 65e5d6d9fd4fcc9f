"""The example of docs/embedding.md, run as it stands there."""

import re

import numpy as np
from PIL import Image

from binnet.cli import main


def test_the_example_says_what_predict_says(root, tmp_path, monkeypatch, capsys):
    text = (root / "docs" / "embedding.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.+?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (90, 140, 3), np.uint8)
    Image.fromarray(noise).save("photo.jpg")
    exec(example.replace("packed.h5", "quick-tiny20"), {})
    named = capsys.readouterr().out.strip()
    assert main(["predict", "--model", "quick-tiny20", "photo.jpg", "--top", "1"]) == 0
    assert capsys.readouterr().out.startswith(f"photo.jpg: {named} ")
