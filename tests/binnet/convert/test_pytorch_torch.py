"""Imported networks against torch's own forward pass, where torch is installed: each shipped mapping, all containers.

The modules have the names and the arithmetic of the repositories that the mappings name; their weights are random.
"""

import itertools

import numpy as np
import pytest

from binnet.convert import Options, read

torch = pytest.importorskip("torch")
nn = torch.nn


class Latent(nn.Module):
    """Batch normalisation, sign, a layer whose weights are binarised, ReLU."""

    def __init__(self, inputs, outputs, kernel=None, padding=0):
        super().__init__()
        if kernel is None:
            self.bn, self.linear = nn.BatchNorm1d(inputs, eps=1e-4), nn.Linear(inputs, outputs)
        else:
            self.bn, self.conv = nn.BatchNorm2d(inputs, eps=1e-4), nn.Conv2d(inputs, outputs, kernel, padding=padding)

    def forward(self, x):
        layer = self.conv if hasattr(self, "conv") else self.linear
        weight = layer.weight
        weight = (weight - weight.mean(1, keepdim=True)).clamp(-1, 1)
        rest = tuple(range(1, weight.ndim))
        weight = weight.sign() * weight.abs().mean(rest, keepdim=True)
        x = self.bn(x).sign()
        if weight.ndim == 2:
            return torch.relu(nn.functional.linear(x, weight, layer.bias))
        return torch.relu(nn.functional.conv2d(x, weight, layer.bias, padding=layer.padding))


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn_conv1 = nn.Conv2d(1, 20, 5), nn.BatchNorm2d(20, eps=1e-4, affine=False)
        self.bin_conv2, self.bin_ip1, self.ip2 = Latent(20, 50, 5), Latent(800, 500), nn.Linear(500, 10)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.bn_conv1(self.conv1(x))), 2)
        x = nn.functional.max_pool2d(self.bin_conv2(x), 2)
        return self.ip2(self.bin_ip1(x.flatten(1)))


class Nin(nn.Module):
    def __init__(self):
        super().__init__()
        self.xnor = nn.Sequential(
            nn.Conv2d(3, 192, 5, padding=2),
            nn.BatchNorm2d(192, eps=1e-4, affine=False),
            nn.ReLU(),
            Latent(192, 160, 1),
            Latent(160, 96, 1),
            nn.MaxPool2d(3, 2, 1),
            Latent(96, 192, 5, 2),
            Latent(192, 192, 1),
            Latent(192, 192, 1),
            nn.AvgPool2d(3, 2, 1),
            Latent(192, 192, 3, 1),
            Latent(192, 192, 1),
            nn.BatchNorm2d(192, eps=1e-4, affine=False),
            nn.Conv2d(192, 10, 1),
            nn.ReLU(),
            nn.AvgPool2d(8, 1),
        )

    def forward(self, x):
        return self.xnor(x).flatten(1)


class AlexNet(nn.Module):
    def __init__(self):
        super().__init__()
        features = nn.Sequential(
            nn.Conv2d(3, 96, 11, 4),
            nn.BatchNorm2d(96, eps=1e-4),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            Latent(96, 256, 5, 2),
            nn.MaxPool2d(3, 2),
            Latent(256, 384, 3, 1),
            Latent(384, 384, 3, 1),
            Latent(384, 256, 3, 1),
            nn.MaxPool2d(3, 2),
        )
        self.features = nn.DataParallel(features)  # as the repository has it: "features.module.0.weight"
        norm = nn.BatchNorm1d(4096, eps=1e-3)
        self.classifier = nn.Sequential(Latent(9216, 4096), Latent(4096, 4096), norm, nn.Dropout(), nn.Linear(4096, 7))

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class Bias(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.bias = nn.Parameter(torch.randn(1, channels, 1, 1) * 0.3)

    def forward(self, x):
        return x + self.bias


class HardConv(nn.Module):
    """One-bit weights, kept in one column under the name ``weights``, or as filters under ``weight``."""

    def __init__(self, inputs, outputs, kernel, stride=1, column=True):
        super().__init__()
        self.shape, self.stride = (outputs, inputs, kernel, kernel), stride
        latent = nn.Parameter(torch.randn(self.shape))
        if column:
            self.weights = nn.Parameter(latent.detach().reshape(-1, 1))
        else:
            self.weight = latent

    def forward(self, x):
        weight = (self.weights if hasattr(self, "weights") else self.weight).view(self.shape)
        alpha = weight.abs().mean((1, 2, 3), keepdim=True)
        return nn.functional.conv2d(x.sign(), weight.sign() * alpha, stride=self.stride, padding=self.shape[2] // 2)


class MobileBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.stride, self.same = stride, inputs == outputs
        self.move11, self.binary_3x3, self.bn1 = (
            Bias(inputs),
            HardConv(inputs, inputs, 3, stride),
            nn.BatchNorm2d(inputs),
        )
        self.move12, self.prelu1, self.move13 = Bias(inputs), nn.PReLU(inputs), Bias(inputs)
        self.move21 = Bias(inputs)
        if self.same:
            self.binary_pw, self.bn2 = HardConv(inputs, outputs, 1), nn.BatchNorm2d(outputs)
        else:
            self.binary_pw_down1, self.binary_pw_down2 = HardConv(inputs, inputs, 1), HardConv(inputs, inputs, 1)
            self.bn2_1, self.bn2_2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(inputs)
        self.move22, self.prelu2, self.move23 = Bias(outputs), nn.PReLU(outputs), Bias(outputs)

    def forward(self, x):
        short = nn.functional.avg_pool2d(x, 2) if self.stride == 2 else x
        half = self.bn1(self.binary_3x3(self.move11(x))) + short
        half = self.move13(self.prelu1(self.move12(half)))
        y = self.move21(half)
        if self.same:
            y = self.bn2(self.binary_pw(y)) + half
        else:
            first, second = self.bn2_1(self.binary_pw_down1(y)) + half, self.bn2_2(self.binary_pw_down2(y)) + half
            y = torch.cat([first, second], 1)
        return self.move23(self.prelu2(self.move22(y)))


class ReActA(nn.Module):
    def __init__(self):
        super().__init__()
        widths = [32, 64, *[128] * 2, *[256] * 2, *[512] * 6, *[1024] * 2]
        first = nn.Module()
        first.conv1, first.bn1 = nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32)
        self.feature = nn.ModuleList([first])
        for before, after in itertools.pairwise(widths):
            self.feature.append(MobileBlock(before, after, 2 if after not in (before, 64) else 1))
        self.fc = nn.Linear(1024, 9)

    def forward(self, x):
        x = self.feature[0].bn1(self.feature[0].conv1(x))
        for block in self.feature[1:]:
            x = block(x)
        return self.fc(x.mean((2, 3)))


class ResidualBlock(nn.Module):
    def __init__(self, inputs, outputs, stride, react):
        super().__init__()
        self.react, self.binary_conv = react, HardConv(inputs, outputs, 3, stride, column=not react)
        self.bn1, self.downsample = nn.BatchNorm2d(outputs), None
        if react:
            self.move0, self.move1, self.prelu, self.move2 = (
                Bias(inputs),
                Bias(outputs),
                nn.PReLU(outputs),
                Bias(outputs),
            )
        if stride == 2:
            conv = nn.Conv2d(inputs, outputs, 1, bias=False)
            self.downsample = nn.Sequential(nn.AvgPool2d(2, 2), conv, nn.BatchNorm2d(outputs))

    def forward(self, x):
        short = x if self.downsample is None else self.downsample(x)
        y = self.bn1(self.binary_conv(self.move0(x) if self.react else x)) + short
        return self.move2(self.prelu(self.move1(y))) if self.react else y


class Residual(nn.Module):
    def __init__(self, react):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        for number, (before, after) in enumerate([(64, 64), (64, 128), (128, 256), (256, 512)], 1):
            first = ResidualBlock(before, after, 1 if before == after else 2, react)
            rest = [ResidualBlock(after, after, 1, react) for _ in range(3)]
            setattr(self, f"layer{number}", nn.Sequential(first, *rest))
        self.fc = nn.Linear(512, 9)

    def forward(self, x):
        x = nn.functional.max_pool2d(self.bn1(self.conv1(x)), 3, 2, 1)
        for number in range(1, 5):
            x = getattr(self, f"layer{number}")(x)
        return self.fc(x.mean((2, 3)))


def random_state(net):
    """Random statistics, factors of both signs, so that an error in a sign or an order shows."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
            if module.affine:
                with torch.no_grad():
                    module.weight.uniform_(0.3, 1).mul_(torch.where(torch.rand_like(module.weight) < 0.2, -1, 1))
                    module.bias.uniform_(-0.5, 0.5)
        if isinstance(module, nn.PReLU):
            with torch.no_grad():
                module.weight.uniform_(-0.2, 0.5)
    return net.eval()


NETWORKS = {
    "xnor-lenet": (LeNet, (28, 28, 1)),
    "xnor-nin": (Nin, (32, 32, 3)),
    "xnor-alexnet": (AlexNet, (227, 227, 3)),
    "reactnet-a": (ReActA, (64, 64, 3)),
    "reactnet-18": (lambda: Residual(True), (64, 64, 3)),
    "birealnet-18": (lambda: Residual(False), (64, 64, 3)),
}


def imported(path, name, size):
    return read(path, "pytorch", Options(input_shape=size, mapping=name))


def check(net, model, size):
    """Compare the scores of eight images."""
    x = torch.randn(8, size[2], *size[:2])
    with torch.no_grad():
        expected = net(x).numpy()
    got = model(np.ascontiguousarray(x.numpy().transpose(0, 2, 3, 1)))
    # Sums in another order may turn the sign of a number beside 0, which a deep network of random weights spreads. So
    # one image must be the same but for rounding, which a wrong network cannot give, and all must be alike.
    assert (np.abs(got - expected).max(axis=1) / expected.std()).min() < 1e-3
    assert np.corrcoef(got.ravel(), expected.ravel())[0, 1] > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_gives_the_scores_of_torch(name, tmp_path):
    torch.manual_seed(1)
    make, size = NETWORKS[name]
    net = random_state(make())
    torch.save({"epoch": 3, "state_dict": net.state_dict(), "best": torch.tensor(0.9)}, tmp_path / "net.pth.tar")
    found = imported(tmp_path / "net.pth.tar", name, size)
    check(net, found.model, size)
    assert {"epoch", "best"} <= {part for part, _ in found.report.left_out}


@pytest.mark.parametrize("form", ["zip", "legacy", "protocol 4", "safetensors", "DataParallel", "parameters"])
def test_each_container_gives_the_same_network(form, tmp_path):
    torch.manual_seed(2)
    net, path = random_state(LeNet()), tmp_path / "net.pth"
    state = net.state_dict()
    if form == "safetensors":
        pytest.importorskip("safetensors.torch").save_file(dict(state), path)
    elif form == "legacy":
        torch.save(state, path, _use_new_zipfile_serialization=False)
    elif form == "protocol 4":
        torch.save(state, path, pickle_protocol=4)
    elif form == "DataParallel":
        torch.save(nn.DataParallel(net).state_dict(), path)
    elif form == "parameters":
        state = {name: value for name, value in state.items() if value.is_floating_point()}
        torch.save({name: nn.Parameter(value) for name, value in state.items()}, path)
    else:
        torch.save(state, path)
    check(net, imported(path, "xnor-lenet", (28, 28, 1)).model, (28, 28, 1))


def test_a_whole_module_is_refused(tmp_path):
    torch.save(nn.Linear(3, 2), tmp_path / "net.pt")
    with pytest.raises(ValueError, match=r"torch.nn.modules.linear.Linear.*nothing was executed"):
        imported(tmp_path / "net.pt", "xnor-lenet", None)


@pytest.mark.parametrize(
    "dtype", ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]
)
def test_values_of_every_type_and_stride(dtype, tmp_path):
    from binnet.convert.pytorch.files import contents

    base = torch.arange(-10, 50).reshape(3, 4, 5).to(getattr(torch, dtype))
    views = {"whole": base, "turned": base.permute(2, 0, 1), "part": base[1:, ::2, 1:4], "number": base[0, 0, 1]}
    for zipped in (True, False):
        torch.save(views, tmp_path / "views.pt", _use_new_zipfile_serialization=zipped)
        found = contents(tmp_path / "views.pt")
        for name, view in views.items():
            expected = view.float().numpy() if dtype == "bfloat16" else view.numpy()
            np.testing.assert_array_equal(found[name].array(), expected, strict=True)
