"""Writes files of ``torch.save`` and safetensors without torch, instruction by instruction, to test their reader."""

import io
import json
import struct
import zipfile
from dataclasses import dataclass

import numpy as np

from binnet.convert import Options, read

TYPES = {"f8": "Double", "f4": "Float", "f2": "Half", "i8": "Long", "i4": "Int", "i2": "Short", "i1": "Char"}
TYPES |= {"u1": "Byte", "b1": "Bool"}


@dataclass
class View:
    """A tensor of elements of ``base`` (n,); ``kind`` is the storage's name without "Storage", by default its own."""

    base: np.ndarray
    offset: int
    size: tuple
    stride: tuple
    kind: str = ""


def view(array):
    """A tensor with a storage of its own."""
    array = np.asarray(array)
    strides = tuple(step // array.itemsize for step in np.ascontiguousarray(array).reshape(array.shape).strides)
    return View(array.reshape(-1), 0, array.shape, strides)


class Writer:
    """Pickles values; tensors get storages, which are shared by those with the same base."""

    def __init__(self):
        self.storages = {}

    def pickled(self, value):
        return b"\x80\x02" + self.code(value) + b"."

    def code(self, value):
        match value:
            case None:
                return b"N"
            case bool():
                return b"\x88" if value else b"\x89"
            case int():
                if -(2**31) <= value < 2**31:
                    return b"J" + struct.pack("<i", value)
                raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
                return b"\x8a" + bytes([len(raw)]) + raw
            case float():
                return b"G" + struct.pack(">d", value)
            case str():
                raw = value.encode()
                return b"X" + struct.pack("<I", len(raw)) + raw
            case tuple():
                return b"(" + b"".join(map(self.code, value)) + b"t"
            case list():
                return b"](" + b"".join(map(self.code, value)) + b"e"
            case dict():
                items = b"".join(self.code(key) + self.code(each) for key, each in value.items())
                # An OrderedDict with the attribute that module.state_dict() sets.
                made = b"ccollections\nOrderedDict\n)R(" + items + b"u"
                return made + b"}(" + self.code("_metadata") + b"}u" + b"b"
            case np.ndarray() | np.generic():
                return self.tensor(view(value))
            case View():
                return self.tensor(value)
        raise TypeError(type(value))

    def tensor(self, tensor):
        kind = tensor.kind or TYPES[tensor.base.dtype.str[1:]]
        known = [key for key, base in self.storages.items() if base is tensor.base]
        key = known[0] if known else str(len(self.storages))
        self.storages[key] = tensor.base
        identity = b"(" + self.code("storage") + f"ctorch\n{kind}Storage\n".encode()
        identity += self.code(key) + self.code("cpu") + self.code(len(tensor.base)) + b"tQ"
        rest = self.code(tensor.offset) + self.code(tuple(tensor.size)) + self.code(tuple(tensor.stride))
        return b"ctorch._utils\n_rebuild_tensor_v2\n(" + identity + rest + b"\x89" + self.code({}) + b"tR"


def zipped(value, order="little", extra=(), pickle=None, compression=zipfile.ZIP_STORED):
    """A zip file as of torch.save; ``extra`` are more members, ``pickle`` replaces data.pkl."""
    writer, out = Writer(), io.BytesIO()
    pickled = writer.pickled(value)
    with zipfile.ZipFile(out, "w", compression) as archive:
        archive.writestr("net/data.pkl", pickled if pickle is None else pickle)
        archive.writestr("net/byteorder", order)
        for key, base in writer.storages.items():
            data = base.astype(base.dtype.newbyteorder("<" if order == "little" else ">"))
            archive.writestr(f"net/data/{key}", data.tobytes())
        archive.writestr("net/version", "3\n")
        for name, data in extra:
            archive.writestr(name, data)
    return out.getvalue()


def legacy(value, pickle=None):
    """A file as of torch.save before 2020; ``pickle`` replaces that of the object."""
    writer = Writer()
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = [0x1950A86A20F9469CFC6C, 1001, system]
    out = b"".join(Writer().pickled(each) for each in head)
    out += writer.pickled(value) if pickle is None else pickle
    out += Writer().pickled(list(writer.storages))
    for base in writer.storages.values():
        out += struct.pack("<q", len(base)) + base.tobytes()
    return out


def safetensors(arrays, change=None):
    """A safetensors file of arrays by name; ``change(header)`` may edit the header before it is written."""
    names = {"f8": "F64", "f4": "F32", "f2": "F16", "i8": "I64", "i4": "I32", "u1": "U8", "b1": "BOOL"}
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, array in arrays.items():
        raw = np.ascontiguousarray(array).tobytes()
        span = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": names[array.dtype.str[1:]], "shape": list(array.shape), "data_offsets": span}
        data += raw
    text = json.dumps(header if change is None else change(header)).encode()
    return struct.pack("<Q", len(text)) + text + data


def norm_state(rng, name, channels):
    return {
        f"{name}.weight": np.float32(rng.uniform(-1.5, 1.5, channels)),
        f"{name}.bias": np.float32(rng.normal(size=channels)),
        f"{name}.running_mean": np.float32(rng.normal(size=channels)),
        f"{name}.running_var": np.float32(rng.uniform(0.2, 2, channels)),
        f"{name}.num_batches_tracked": np.int64(7),
    }


def imported(folder, state, mapping, x, write=zipped):
    """Import a state dict by a mapping, both written to ``folder``; the result for images and maps (N, C, H, W)."""
    (folder / "net.pt").write_bytes(write(state))
    (folder / "net.toml").write_text(mapping)
    options = Options(input_shape=(*x.shape[2:], x.shape[1]), mapping=str(folder / "net.toml"))
    y = read(folder / "net.pt", "pytorch", options).model(np.ascontiguousarray(np.float32(x).transpose(0, 2, 3, 1)))
    return y.transpose(0, 3, 1, 2) if y.ndim == 4 else y
