"""Models as ONNX files, which other frameworks and runtimes read and write.

The file's operators and nnlite's layers name their axes differently: ONNX has channels second,
(N, C, H, W), and recurrent operators have time first, (T, N, D). Both directions carry along in
which order a tensor's axes lie, and move them only where an operator needs another one.

A layer of one's own says itself how it is written:

    class Square(nn.Layer):
        ...

        def to_onnx(self, graph, x):  # a `Graph` and a `Value`; returns the value that is y
            return graph.map("Mul", x, x)

For a class that one cannot change a function is registered:

    @nn.interop.onnx.export.register(Theirs)
    def theirs(layer, graph, x):
        return graph.map("Relu", x)

`graph.map` is for operators that treat every number by itself. Others need the axes where they
expect them, `graph.last(x)` or `graph.first(x)`, and `graph.node` returns the name of their output:

        x = graph.last(x)  # (N, …, C), as the layer sees it
        return x.with_shape(graph.node("MatMul", x, self.weight.data), (*x.shape[:-1], 3))

A layer made of others writes them by `graph.layer(child, x, "its place")`.
"""

from nnlite.interop.onnx.exports import export
from nnlite.interop.onnx.graph import Graph, Value
from nnlite.interop.onnx.load import load_onnx
from nnlite.interop.onnx.save import save_onnx

__all__ = ["Graph", "Value", "export", "load_onnx", "save_onnx"]
