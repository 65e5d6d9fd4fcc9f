"""File names that every system takes; names of devices are refused where they mean devices."""

import json
import ntpath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import binnet
from binnet import nn, ops
from binnet.engine.export import export
from binnet.modelfile import StorageError
from binnet.train.output.run_folder import RunFolder
from binnet_datasets.files import replacing
from binnet_system import names

RESERVED = ["con", "NUL", "aux.h5", "Com1", "lpt9.tar.gz", "prn:x", "con .txt", "COM²", "conin$"]
ORDINARY = ["icon", "auxiliary", "com", "com10", "lpt0x", "a.con", "nul-1", ".con", "console.h5"]


@pytest.mark.parametrize("name", RESERVED)
def test_names_of_devices(name):
    assert names.is_device(name)
    if hasattr(ntpath, "isreserved"):  # from Python 3.13
        assert ntpath.isreserved(name)


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_names(name):
    assert not names.is_device(name)
    assert names.portable([name]) == {name: name}


def test_a_device_takes_no_model_and_no_run_on_windows(tmp_path, monkeypatch):
    with replacing(tmp_path / "aux.h5") as part:
        part.write_bytes(b"fine here")
    monkeypatch.setattr(names, "DEVICES", True)
    expected = "nul.h5 is the name of a device on Windows, choose another name"
    with pytest.raises(OSError, match=expected), replacing(tmp_path / "nul.h5"):
        pass
    with pytest.raises(StorageError, match="con is the name of a device on Windows"):
        RunFolder(tmp_path / "con")
    assert [path.name for path in tmp_path.iterdir()] == ["aux.h5"]


def test_portable_names():
    given = ["conv.weight", "Conv.weight", "CONV.weight", "aux.bias", "a/b", "a:b", "end.", "", "ﬀ", "FF"]
    expected = ["conv.weight", "Conv.weight~2", "CONV.weight~3", "_aux.bias", "a_b", "a_b~2", "end_", "_", "ﬀ", "FF~2"]
    assert list(names.portable(given).values()) == expected


@given(st.lists(st.text(st.sampled_from("aAconCON./:~2 ﬀßé\u0301"), max_size=6), unique=True, max_size=12))
def test_portable_names_differ_where_case_does_not_count(given):
    found = names.portable(given)
    assert list(found) == given
    assert len({names.folded(name) for name in found.values()}) == len(given)
    assert not any(names.is_device(name) or set(name) & set('<>:"/\\|?*') for name in found.values())


class Net(nn.Module):
    """Layers whose names are one file on macOS, and one the name of a device."""

    def __init__(self):
        super().__init__()
        self.aux, self.Aux, self.conv = nn.Linear(4, 5, rng=0), nn.Linear(5, 6, rng=1), nn.Linear(6, 3, rng=2)

    def forward(self, x):
        return self.conv(self.Aux(self.aux(ops.flatten(x))))


def test_an_exported_folder_has_a_file_for_each_array_on_every_system(tmp_path):
    model = binnet.pack(Net(), input_shape=(1, 2, 2))
    (tmp_path / "out").mkdir()
    written = export(model, tmp_path / "out")
    files = [path.name for path in written]
    assert len({name.casefold() for name in files}) == len(files)
    assert not any(names.is_device(name) for name in files)
    nodes = json.loads((tmp_path / "out" / "graph.json").read_text("utf-8"))["nodes"]
    arrays = model.arrays()
    read = {f"{n['name']}.{field}": np.load(tmp_path / "out" / f) for n in nodes for field, f in n["arrays"].items()}
    assert read.keys() == arrays.keys()
    assert all(np.array_equal(read[name], arrays[name]) for name in arrays)
