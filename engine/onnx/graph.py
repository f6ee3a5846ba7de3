"""An ONNX graph under construction: nodes, constants, and the size of the batch where one needs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engine.onnx.trace import Batch, Call, Dim, NotExportable, Value

OPSET = 21
IR_VERSION = 10
"""What runtimes of that opset read."""
Array = np.ndarray[Any, Any]


class Graph:
    """Collects nodes. Values have names: those of a program get theirs by ``bind``."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.makers: dict[int, Call] = {}  # of a program's values, by id
        self._names: dict[int, str] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._sizes: dict[int, str] = {}
        self._batch: tuple[str, int] | None = None
        self._count = 0

    # -- names

    def _fresh(self, kind: str) -> str:
        self._count += 1
        return f"{kind}_{self._count}"

    def bind(self, value: Value, name: str) -> None:
        self._names[id(value)] = name

    def name(self, value: Value) -> str:
        """The name of a value; a constant becomes an initializer, in every row of the batch where it has one."""
        if id(value) not in self._names:
            if value.size is not None or value.counts:
                self._names[id(value)] = self._of_batch(value)
                return self._names[id(value)]
            if value.array is None:
                raise NotExportable("a result that ONNX does not give is needed: places of maxima, or the cells of an LSTM at every step")
            own = self.constant(value.array)
            dynamic = any(isinstance(n, Batch) for n in value.shape)
            self._names[id(value)] = self.node("Expand", own, self.shape(value.shape)) if dynamic else own
        return self._names[id(value)]

    def _of_batch(self, value: Value) -> str:
        size = self.node("Squeeze", self._size(value.size.times if value.size else 1))
        number = self.node("Range", self.constant(0, np.int64), size, self.constant(1, np.int64)) if value.counts else size
        return number if value.dtype == np.int64 else self.node("Cast", number, to=element_type(value.dtype))

    # -- what a graph is made of

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node of one output; its name. Inputs that are left out are empty names."""
        return self.several(op, 1, *inputs, **attributes)[0]

    def several(self, op: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """Adds a node; the names of its outputs."""
        names = [self._fresh(op) for _ in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=names[0], **attributes))
        return names

    def constant(self, x: Any, dtype: Any = None) -> str:
        """The name of an array, or of a number; equal ones are one."""
        array: Array = np.ascontiguousarray(np.asarray(x, dtype)).reshape(np.shape(x))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = self._constants[key] = self._fresh("constant")
            self.initializers.append(numpy_helper.from_array(array, name))
        return self._constants[key]

    def ints(self, numbers: Sequence[int]) -> str:
        return self.constant(np.array(numbers, np.int64))

    def shape(self, dims: Sequence[Dim]) -> str:
        """The name of a shape, computed where it depends on the batch."""
        if not any(isinstance(n, Batch) for n in dims):
            return self.ints([n for n in dims if isinstance(n, int)])
        return self.node("Concat", *(self._size(n.times) if isinstance(n, Batch) else self.ints([n]) for n in dims), axis=0)

    def _size(self, times: int) -> str:
        """So many times the size of the batch, as a tensor of one number."""
        if times not in self._sizes:
            assert self._batch is not None
            name, axis = self._batch
            if 1 not in self._sizes:
                self._sizes[1] = self.node("Shape", name, start=axis, end=axis + 1)
            if times != 1:
                self._sizes[times] = self.node("Mul", self._sizes[1], self.ints([times]))
        return self._sizes[times]

    def input(self, name: str, dtype: Any, shape: Sequence[Any]) -> str:
        """Adds an input. Its axes are sizes, or names of those that may be any; the first one named ``batch`` says the size of the batch."""
        self.inputs.append(helper.make_tensor_value_info(name, element_type(dtype), list(shape)))
        if "batch" in shape and self._batch is None:
            self._batch = name, list(shape).index("batch")
        return name

    def output(self, given: str, name: str, dtype: Any, shape: Sequence[Any]) -> None:
        """Makes a value an output under a name of its own."""
        self.nodes.append(helper.make_node("Identity", [given], [name], name=name))
        self.outputs.append(helper.make_tensor_value_info(name, element_type(dtype), list(shape)))

    def model(self, name: str, facts: dict[str, str], producer: str) -> onnx.ModelProto:
        """The whole model, checked, without what no output needs."""
        self._prune()
        graph = helper.make_graph(self.nodes, name, self.inputs, self.outputs, self.initializers)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name=producer)
        helper.set_model_props(made, facts)
        onnx.checker.check_model(made, full_check=True)
        return made

    def _prune(self) -> None:
        needed = {o.name for o in self.outputs}
        kept = []
        for node in reversed(self.nodes):
            if needed & set(node.output):
                needed.update(node.input)
                kept.append(node)
        self.nodes = kept[::-1]
        self.initializers = [x for x in self.initializers if x.name in needed]


def element_type(dtype: Any) -> int:
    """ONNX's number of a NumPy dtype."""
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def axes(dims: Sequence[Dim]) -> list[Any]:
    """A shape as ONNX shows it: the batch by name."""
    return [("batch" if n.times == 1 else f"{n.times}*batch") if isinstance(n, Batch) else n for n in dims]
