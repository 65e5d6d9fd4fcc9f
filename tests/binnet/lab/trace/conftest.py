"""A small network on a generated image, as a checkpoint and as a packed model."""

import numpy as np
import pytest
from PIL import Image

import binnet
from binnet import models, optim
from binnet.lab.trace import open_source, trace_image, write_page
from binnet.modelfile.info import DataInfo
from binnet.train.config import TrainConfig
from binnet.train.diagnostics import signs
from binnet.train.output.checkpoint import save
from binnet.train.output.state import Progress, State

INFO = DataInfo("photos", ("cat", "owl"), (0.4,), (0.25,))


@pytest.fixture(scope="session")
def image_file(tmp_path_factory):
    """A picture with edges, colours and noise, 40 x 48."""
    rng = np.random.default_rng(3)
    rows, cols = np.mgrid[:40, :48]
    waves = np.stack([np.sin(rows / 3), np.cos(cols / 5), np.sin((rows + cols) / 4)], axis=-1)
    pixels = np.clip(127 + 90 * waves + rng.normal(0, 20, waves.shape), 0, 255).astype(np.uint8)
    path = tmp_path_factory.mktemp("image") / "waves.png"
    Image.fromarray(pixels).save(path)
    return path


def network(seed=0, **options):
    """A residual network for images of two channels, with normalisations that are not the identity."""
    net = models.build("quick", num_classes=2, in_channels=1, image_size=24, seed=seed, **options)
    rng = np.random.default_rng(seed)
    for name, array in net.named_buffers():
        array[...] = rng.uniform(0.2, 0.6, array.shape) if name.endswith("mean") else rng.uniform(0.2, 2, array.shape)
    return net.eval()


@pytest.fixture(scope="session")
def net():
    """The network of the files ``best.h5`` and ``packed.h5``."""
    return network()


@pytest.fixture(scope="session")
def folder(net, tmp_path_factory):
    """``best.h5`` and ``packed.h5``."""
    folder = tmp_path_factory.mktemp("models")
    binnet.pack(net, INFO).save(folder / "packed.h5")
    state = State(net, optim.Adam(net.parameters(), lr=0.1), Progress(epoch=3), signs(net), net.spec)
    save(folder / "best.h5", state, TrainConfig(seed=4), INFO)
    return folder


@pytest.fixture(scope="session")
def picture(folder, image_file):
    """The first binary layer of the checkpoint: 12 x 12 x 32 to 6 x 6 x 64, stride 2, padding 1, tail bits."""
    return trace_image(open_source(str(folder / "best.h5")), image_file)


@pytest.fixture(scope="session")
def file(picture, tmp_path_factory):
    """The page of the picture, as a file."""
    path = tmp_path_factory.mktemp("page") / "trace.html"
    write_page(picture, path)
    return path


@pytest.fixture
def open_page(browser, file):
    """Open the page; at the end, fail on errors in it and on network requests."""
    contexts, wrong = [], []

    def opened(url=None, **options):
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 850}, **options})
        context.set_default_timeout(120_000)  # ms; a busy machine takes its time
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else wrong.append(r.url))
        page.goto(url or file.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []
