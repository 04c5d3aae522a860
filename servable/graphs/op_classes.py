"""Which ops do more than compute: a model that holds them can run code, read or write files, or go online.

What passes through: intake asks before it runs a source graph, inspection asks of a finished SavedModel. The
names are those of TensorFlow's own op registry (versions 1.4 to 2.21), and of tf.contrib where it says so.
No TensorFlow here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

# Runs Python of the process that loads it, code from a library, or a graph that comes as data and that no
# look at this one could find; or ends the process (control_flow_ops.cc, "Abort").
CODE_OPS = frozenset(
    {
        "Abort",
        "DatasetFromGraph",
        "DeserializeIterator",
        "EagerPyFunc",
        "PyFunc",
        "PyFuncStateless",
        "RemoteCall",
        "RemoteFusedGraphExecute",
        "XlaCustomCall",
        "XlaCustomCallV2",
        "XlaHostCompute",
        "_XlaHostComputeMlir",
    }
)

# Reads or writes paths that may come from the request or from the model's maker.
FILE_OPS = frozenset(
    {
        "CSVDataset",
        "CSVDatasetV2",
        "CacheDataset",
        "CacheDatasetV2",
        "CalibrationStatisticsSaver",
        "CreateSummaryDbWriter",
        "CreateSummaryFileWriter",
        "CreateTRTResourceHandle",
        "DatasetToTFRecord",
        "DebugIdentityV2",
        "DebugIdentityV3",
        "DistributedSave",
        "DumpTensor",
        "ExperimentalCSVDataset",
        "ExperimentalDatasetToTFRecord",
        "ExperimentalLMDBDataset",
        "ExperimentalMatchingFilesDataset",
        "FileSystemSetConfiguration",
        "FixedLengthRecordDataset",
        "FixedLengthRecordDatasetV2",
        "FixedLengthRecordReader",
        "FixedLengthRecordReaderV2",
        "GenerateVocabRemapping",
        "ImmutableConst",
        "InitializeTRTResource",
        "LMDBDataset",
        "LMDBReader",
        "ListSnapshotChunksDataset",
        "LoadAndRemapMatrix",
        "LoadDataset",
        "MatchingFiles",
        "MatchingFilesDataset",
        "ReadFile",
        "RecordInput",
        "RestoreIterator",
        "SaveDataset",
        "SaveDatasetV2",
        "SaveIterator",
        "SerializeTRTResource",
        "SnapshotChunkDataset",
        "SnapshotDataset",
        "SnapshotDatasetReader",
        "SnapshotDatasetV2",
        "SnapshotNestedDatasetReader",
        "TFRecordDataset",
        "TFRecordDatasetV2",
        "TFRecordReader",
        "TFRecordReaderV2",
        "TextLineDataset",
        "TextLineReader",
        "TextLineReaderV2",
        "WholeFileReader",
        "WholeFileReaderV2",
        "WriteAudioSummary",
        "WriteFile",
        "WriteGraphSummary",
        "WriteHistogramSummary",
        "WriteImageSummary",
        "WriteRawProtoSummary",
        "WriteScalarSummary",
        "WriteSummary",
    }
)

# io_ops.cc, dtensor: read and write checkpoints. Belong to a saver, which a server runs once, at load.
CHECKPOINT_READING_OPS = frozenset({"DTensorRestoreV2", "Restore", "RestoreSlice", "RestoreV2"})
CHECKPOINT_WRITING_OPS = frozenset({"MergeV2Checkpoints", "Save", "SaveSlices", "SaveV2"})

# Talks to other machines: rpc_ops.cc, collective_ops.cc, sendrecv_ops.cc, databases, debug ops (their
# addresses may be grpc://).
NETWORK_OPS = frozenset(
    {
        "BigQueryReader",
        "CollectiveAllToAllV2",
        "CollectiveAllToAllV3",
        "CollectiveAssignGroupV2",
        "CollectiveBcastRecv",
        "CollectiveBcastRecvV2",
        "CollectiveBcastSend",
        "CollectiveBcastSendV2",
        "CollectiveGather",
        "CollectiveGatherV2",
        "CollectiveInitializeCommunicator",
        "CollectivePermute",
        "CollectiveReduce",
        "CollectiveReduceScatterV2",
        "CollectiveReduceV2",
        "CollectiveReduceV3",
        "DataServiceDataset",
        "DataServiceDatasetV2",
        "DataServiceDatasetV3",
        "DataServiceDatasetV4",
        "DebugIdentity",
        "DebugNanCount",
        "DebugNumericSummary",
        "DebugNumericSummaryV2",
        "DeleteRpcFutureResource",
        "ExperimentalSqlDataset",
        "GcsConfigureBlockCache",
        "GcsConfigureCredentials",
        "GenerateBigQueryReaderPartitions",
        "Recv",
        "RegisterDataset",
        "RegisterDatasetV2",
        "Rpc",
        "RpcCall",
        "RpcCheckStatus",
        "RpcClient",
        "RpcGetValue",
        "RpcServer",
        "RpcServerRegister",
        "RpcServerStart",
        "Send",
        "SqlDataset",
        "TryRpc",
        "_HostRecv",
        "_HostSend",
        "_Recv",
        "_Send",
        # tf.contrib's
        "BigtableClient",
        "IgniteDataset",
        "KafkaDataset",
        "KinesisDataset",
    }
)

# decode_proto_ops.cc: the attribute is the path of a file, but for these two (decode_proto_op's docs).
_PROTO_OPS = frozenset({"DecodeProtoV2", "EncodeProto"})
_PROTO_INLINE = (b"local://", b"bytes://")
# candidate_sampling_ops.cc, word2vec_ops.cc: read words and how often they occur from a file so named.
_FILE_ATTRS = {"FixedUnigramCandidateSampler": "vocab_file", "Skipgram": "filename"}


class UnsafeOp(NamedTuple):
    """One node that does more than compute."""

    op: str
    node: str
    function: str
    danger: str


def find_unsafe_ops(nodes: Iterable[tuple[str, Any]]) -> list[UnsafeOp]:
    """Lists nodes that run code, touch files or go online.

    Args:
        nodes: Pairs of library function ("" for the graph itself) and node, from `iterate_all_nodes`.
    """
    return [
        UnsafeOp(node.op, node.name, function, danger)
        for function, node in nodes
        if (danger := name_danger(node))
    ]


def name_danger(node: Any) -> str:
    """Says what a node does besides computing; "" for nothing."""
    if node.op in CODE_OPS:
        return "runs code of the process that loads it"
    if node.op in FILE_OPS:
        return "reads or writes files"
    if node.op in NETWORK_OPS:
        return "talks to other machines"
    if node.op in _PROTO_OPS and "descriptor_source" in node.attr:
        source = node.attr["descriptor_source"].s
        return "reads files" if source and not source.startswith(_PROTO_INLINE) else ""
    if node.op in _FILE_ATTRS and node.attr[_FILE_ATTRS[node.op]].s:
        return "reads files"
    if node.op == "PrintV2" and node.attr["output_stream"].s.startswith(b"file://"):
        return "writes files"
    return ""
