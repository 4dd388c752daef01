"""The 8-bit form of a model, for the CPU: weights of matrix products and recurrences in integers.

Their inputs are rounded to integers as they come, each tensor to the range that it has at the time (dynamic
quantization). Weights have seven bits: the sums of products of eight overflow in the 16-bit steps of
processors without instructions for them (AVX2 without VNNI), and the eighth changes no figure.
"""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import onnxruntime
from onnx import ModelProto
from onnxruntime.quantization import QuantType, quantize_dynamic

from stemsplit.errors import ModelError
from stemsplit.files.atomic import whole_file
from stemsplit.models.integrity import hash_file
from stemsplit.models.spec import PREFIX

OPERATORS = ("LSTM", "MatMul")
SOURCE = f"{PREFIX}int8_of"  # metadata: the hash of the model that a form was made of
_MICROSOFT = "com.microsoft"  # of the operators of onnxruntime


def write_int8_form(model: Path, form: Path) -> None:
    """Write the 8-bit form of a model file.

    Raises
    ------
    ModelError
        If the model is such a form already, or its graph has no matrix product or recurrence with weights.
    """
    source = onnx.load(model)
    if any(each.key == SOURCE for each in source.metadata_props):
        raise ModelError(f"{model}: is an 8-bit form already; name the model that it was made of")
    with tempfile.TemporaryDirectory() as folder:
        plain, reduced = Path(folder) / "plain.onnx", Path(folder) / "reduced.onnx"
        _fold_constants(model, plain)
        with _quietly():
            quantize_dynamic(
                plain,
                reduced,
                op_types_to_quantize=list(OPERATORS),
                weight_type=QuantType.QInt8,
                reduce_range=True,
                extra_options={"WeightSymmetric": True},
            )
        proto = onnx.load(reduced)
    if not any(node.op_type in {"DynamicQuantizeLSTM", "MatMulInteger"} for node in proto.graph.node):
        raise ModelError(f"{model}: the graph has no {' or '.join(OPERATORS)} with weights of its own")
    _describe(proto, source, hash_file(model))
    with whole_file(form) as file:
        file.write(proto.SerializeToString())


def _fold_constants(model: Path, plain: Path) -> None:
    """Write a model whose weights, stored in halves, are constants of float32."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(plain)
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _describe(proto: ModelProto, source: ModelProto, sha256: str) -> None:
    """Give a form the metadata of its source, and only the operator sets that it needs."""
    del proto.metadata_props[:]
    proto.metadata_props.extend(source.metadata_props)
    proto.metadata_props.add(key=SOURCE, value=sha256)
    used = [each for each in proto.opset_import if each.domain in {"", _MICROSOFT}]
    del proto.opset_import[:]
    proto.opset_import.extend(used)


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep the advice of onnxruntime's quantization from standard error."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
