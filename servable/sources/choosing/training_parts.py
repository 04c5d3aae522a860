"""ROOM 1: which ops and scopes of a graph belong to training, not to the model.

What passes through: nodes come in, yes or no goes out. Ops are told by what they do; a scope's name counts
only where TensorFlow itself gives it. No TensorFlow here.
"""

from __future__ import annotations

import re
from typing import Any

from servable.graphs.graph import PLACEHOLDER_OPS

# tf.gradients and every optimizer open this scope; some gradients are made of ordinary ops.
_GRADIENT_SCOPE = re.compile(r"(^|/)gradients(_\d+)?(/|$)")
_GRADIENT_OP = re.compile(r"(Grad|GradGrad|GradV\d|GradWithArgmax|BroadcastGradientArgs)$")

# Ops that change a variable, a queue, a table or a file, report, or compute nothing.
_ENDING_OP = re.compile(
    r"^((Resource|Sparse|ResourceSparse)?Apply[A-Z]\w*|Assign\w*|(Resource)?Scatter(Nd)?(Update|Add|Sub|Mul|Div|"
    r"Min|Max)|\w*AccumulatorApplyGradient|Save(V2|Slices)?|Restore\w*|MergeV2Checkpoints|"
    r"ShardedFile\w*|IsVariableInitialized|VarIsInitializedOp|Assert|QueueEnqueue\w*|QueueClose\w*|"
    r"QueueSize\w*|QueueIsClosed\w*|InitializeTable\w*|LookupTable(Import|Insert|Remove)\w*|NoOp|ControlTrigger|"
    r"Stage|WriteFile|PrintV2|CreateSummary\w*|Write\w*Summary)$"
)
_SUMMARY_OP = re.compile(r"Summary(V2)?$")

# Where a trainer's input pipeline hands over: what comes out of these is what a server feeds.
_PIPELINE_OP = re.compile(r"^(IteratorGetNext(Sync)?|QueueDequeue\w*|ReaderRead\w*|Unstage|BatchDequeue)$")

# Ops that take several tensors out of one record; each of them may be a feature or the label.
PARSING_OPS = frozenset(
    {"ParseExample", "ParseExampleV2", "ParseSingleExample", "ParseSequenceExample", "DecodeCSV"}
)

REDUCING_OPS = frozenset({"Mean", "Sum", "Prod", "Max", "Min", "All", "Any", "EuclideanNorm"})
# What these say of a tensor holds for the whole batch.
MEASURING_OPS = frozenset({"Shape", "ShapeN", "Size", "Rank", "L2Loss"})

# Ops that only ever serve a loss or a metric; labels go in beside predictions.
COMPARING_OPS = frozenset(
    {"Equal", "NotEqual", "InTopK", "InTopKV2", "SquaredDifference", "CTCLoss", "CTCLossV2"}
)
_LOSS_OP = re.compile(r"CrossEntropyWithLogits$|^CTCLoss|^InTopK")

# Ops in which weights meet what the model computes.
_WEIGHTED_OP = re.compile(
    r"^(\w*MatMul\w*|\w*Conv[23]D\w*|DepthwiseConv2d\w*|BiasAdd\w*|Einsum|FusedBatchNorm\w*|CudnnRNN\w*|"
    r"BlockLSTM\w*|LSTMBlockCell|GRUBlockCell)$"
)
_RANDOM_OP = re.compile(
    r"^((Stateless|Stateful)?Random(Uniform|UniformInt|StandardNormal|Shuffle|Gamma|Poisson)\w*|"
    r"(Stateless|Stateful)?(TruncatedNormal|StandardNormal|Uniform|UniformInt|UniformFull\w*|Multinomial|Binomial)"
    r"(V\d)?|StatelessRandomNormal(V2)?|ParameterizedTruncatedNormal)$"
)
_LOSS_SCOPE = re.compile(
    r"(^|/)(loss(es)?|\w*cross_entropy\w*|xentropy|cost|accuracy|metrics?|summar(y|ies)|mean_squared_error|"
    r"absolute_difference|huber_loss|hinge_loss|log_loss|logistic_loss|cosine_distance|sampled_\w+|nce_loss|"
    r"zero_fraction|\w*optimizer|ExponentialMovingAverage|AssignMovingAvg)(_\d+)?(/|$)",
    re.IGNORECASE,
)


def is_gradient(node: Any) -> bool:
    """Whether a node computes gradients."""
    return bool(_GRADIENT_OP.search(node.op) or _GRADIENT_SCOPE.search(node.name))


def is_summary(node: Any) -> bool:
    """Whether a node only reports what training sees."""
    return bool(_SUMMARY_OP.search(node.op))


def is_ending(node: Any) -> bool:
    """Whether what goes into a node comes to no output: it is stored, queued, asserted or written."""
    return bool(_ENDING_OP.match(node.op))


def is_pipeline(node: Any) -> bool:
    """Whether a node hands over what an input pipeline has read."""
    return bool(_PIPELINE_OP.match(node.op))


def is_placeholder(node: Any) -> bool:
    """Whether a node waits to be fed."""
    return node.op in PLACEHOLDER_OPS


def is_weighted(node: Any) -> bool:
    """Whether a node is of a kind that combines weights with what the model computes."""
    return bool(_WEIGHTED_OP.match(node.op))


def is_random(node: Any) -> bool:
    """Whether a node draws random numbers."""
    return bool(_RANDOM_OP.match(node.op))


def is_loss(node: Any) -> bool:
    """Whether a node computes a loss or a metric by its very op."""
    return bool(_LOSS_OP.search(node.op))


def lies_in_loss_scope(name: str) -> bool:
    """Whether TensorFlow's own loss and metric functions would have given a node this scope."""
    return bool(_LOSS_SCOPE.search(name))
