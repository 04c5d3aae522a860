"""Ops by what they mean for a served model, as data: what `servable.graphs.op_classes` does not tell.

What passes through: names of ops as TensorFlow 1.4 to 2.21 register them (tensorflow/core/ops/*_ops.cc;
which file is said at each group). Looked up by `ops` and `inference_mode`; pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# Op to the position of the input that names the file it reads, so that an asset of the model can be told
# from any other file. io_ops.cc, dataset_ops.cc, experimental_dataset_ops.cc, lookup_ops.cc,
# checkpoint_ops.cc. Readers (TFRecordReader, ...) are not here: their file names are enqueued at run time.
FILE_NAME_INPUTS: Mapping[str, int] = MappingProxyType(
    {
        "ReadFile": 0,
        "MatchingFiles": 0,
        "MatchingFilesDataset": 0,
        "ExperimentalMatchingFilesDataset": 0,
        "TextLineDataset": 0,
        "FixedLengthRecordDataset": 0,
        "FixedLengthRecordDatasetV2": 0,
        "TFRecordDataset": 0,
        "TFRecordDatasetV2": 0,
        "CSVDataset": 0,
        "CSVDatasetV2": 0,
        "ExperimentalCSVDataset": 0,
        "LMDBDataset": 0,
        "ExperimentalLMDBDataset": 0,
        "LoadDataset": 0,
        "ListSnapshotChunksDataset": 0,
        "SnapshotDatasetReader": 0,
        "SnapshotChunkDataset": 0,
        "LoadAndRemapMatrix": 0,
        "GenerateVocabRemapping": 0,
        "InitializeTableFromTextFile": 1,
        "InitializeTableFromTextFileV2": 1,
    }
)

# dataset_ops.cc: keep what passes in the file that this input names, in memory where the name is empty.
CACHE_NAME_INPUTS: Mapping[str, int] = MappingProxyType({"CacheDataset": 1, "CacheDatasetV2": 1})

# training_ops.cc: names of optimizers' updates begin like this ("ApplyAdam", "ResourceApplyAdam").
OPTIMIZER_PREFIXES = ("Apply", "ResourceApply", "SparseApply", "ResourceSparseApply")

# state_ops.cc, resource_variable_ops.cc: change a variable.
ASSIGNING_OPS = frozenset(
    {
        "Assign",
        "AssignAdd",
        "AssignSub",
        "AssignVariableOp",
        "AssignAddVariableOp",
        "AssignSubVariableOp",
        "ScatterUpdate",
        "ScatterAdd",
        "ScatterSub",
        "ResourceScatterUpdate",
        "ResourceScatterAdd",
        "ResourceScatterSub",
        "CountUpTo",
        "ResourceCountUpTo",
    }
)

# data_flow_ops.cc, iterator ops of dataset_ops.cc: hand out the trainer's own data.
INPUT_PIPELINE_OPS = frozenset(
    {
        "QueueDequeue",
        "QueueDequeueV2",
        "QueueDequeueMany",
        "QueueDequeueManyV2",
        "QueueDequeueUpTo",
        "QueueDequeueUpToV2",
        "IteratorGetNext",
        "IteratorGetNextSync",
        "IteratorGetNextAsOptional",
        "OneShotIterator",
    }
)

# data_flow_ops.cc: queues themselves.
QUEUES = frozenset(
    {
        "FIFOQueue",
        "FIFOQueueV2",
        "PaddingFIFOQueue",
        "PaddingFIFOQueueV2",
        "PriorityQueue",
        "PriorityQueueV2",
        "RandomShuffleQueue",
        "RandomShuffleQueueV2",
    }
)
# nn_ops.cc, functional_ops.cc: gradients whose names do not end like one. The gradient by the input of a
# convolution is not here: it is what a transposed convolution computes.
GRADIENT_OPS = frozenset(
    {
        "Conv2DBackpropFilter",
        "Conv3DBackpropFilter",
        "Conv3DBackpropFilterV2",
        "DepthwiseConv2dNativeBackpropFilter",
        "SymbolicGradient",
    }
)
# random_ops.cc, stateful_random_ops.cc: draw anew in each run.
RANDOM_OPS = frozenset(
    {
        "RandomUniform",
        "RandomUniformInt",
        "RandomStandardNormal",
        "TruncatedNormal",
        "ParameterizedTruncatedNormal",
        "RandomShuffle",
        "Multinomial",
        "RandomGamma",
        "RandomPoisson",
        "RandomPoissonV2",
        "RandomCrop",
        "RngSkip",
        "RngReadAndSkip",
        "StatefulUniform",
        "StatefulUniformFullInt",
        "StatefulUniformInt",
        "StatefulStandardNormal",
        "StatefulStandardNormalV2",
        "StatefulTruncatedNormal",
        "StatefulRandomBinomial",
    }
)
# stateless_random_ops*.cc: follow their seed, so that a constant seed gives the same noise each time.
STATELESS_RANDOM_PREFIX = "StatelessRandom"
