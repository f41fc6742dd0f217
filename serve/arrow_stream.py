"""Reads an Arrow IPC stream from a stranger: nothing in it takes more memory than its body."""

from __future__ import annotations

import struct

import pyarrow as pa

from serve.errors import field_error

_HEADER, _COMPRESSION = 2, 3  # numbers of the fields of `Message` and of `RecordBatch` in Arrow's Message.fbs


def read_stream(body: bytes, max_rows: int) -> pa.Table:
    """Read a stream of vectors.

    Raises:
        serve.errors.ApiError: it is no valid stream, is compressed, has other columns than vectors, or not 1 to
            `max_rows` rows.
    """
    try:
        for message in pa.ipc.MessageReader.open_stream(body):
            compressed = message.type == "record batch" and _is_compressed(message.metadata.to_pybytes())
            if compressed or message.type == "dictionary":
                raise field_error("send the stream without compression and dictionaries")
        with pa.ipc.open_stream(body) as stream:
            _check(stream.schema)
            batches, rows = [], 0
            for batch in stream:
                batches.append(batch)
                rows += batch.num_rows
                if rows > max_rows:
                    break
        if not 1 <= rows <= max_rows:
            raise field_error(f"the stream has {rows} rows or more: send 1 to {max_rows}")
        table = pa.Table.from_batches(batches)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, struct.error) as error:
        raise field_error("the body is no valid Arrow IPC stream") from error
    return table


def _check(schema: pa.Schema) -> None:
    """Check the types before any batch is read: others may hold many rows in few bytes, or be expanded."""
    for name, kind in zip(schema.names, schema.types, strict=True):
        is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
        if not (is_list and pa.types.is_floating(kind.value_type)):
            raise field_error(f"{name[:100]}: send vectors of floating-point numbers, as lists")


def _is_compressed(metadata: bytes) -> bool:
    """Whether a record batch is compressed. pyarrow does not tell, and would decompress it at once."""
    batch = _field(metadata, _root(metadata, 0), _HEADER)
    return batch is not None and _field(metadata, _root(metadata, batch), _COMPRESSION) is not None


def _root(data: bytes, at: int) -> int:
    (offset,) = struct.unpack_from("<I", data, at)
    return at + int(offset)


def _field(data: bytes, table: int, number: int) -> int | None:
    """Return where a field of a flatbuffers table lies; None if it is absent."""
    vtable = table - int(struct.unpack_from("<i", data, table)[0])
    if 4 + 2 * number >= struct.unpack_from("<H", data, vtable)[0]:
        return None
    offset = int(struct.unpack_from("<H", data, vtable + 4 + 2 * number)[0])
    return table + offset if offset else None
