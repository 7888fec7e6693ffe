"""Publishes a few events by columns: once as protobuf and once as an Arrow IPC stream.

    pip install nats-py pyarrow grpcio-tools
    python -m grpc_tools.protoc -I docs/schema --python_out examples/columnar docs/schema/events.proto
    python examples/columnar/columnar.py nats://127.0.0.1:4222
"""

import asyncio
import io
import math
import sys
import time

import nats
import pyarrow as pa

import events_pb2


def as_protobuf(ts, ids, ages, countries, scores):
    message = events_pb2.Events(rows=len(ids))
    message.columns.add(name="ts", integers=ts)
    message.columns.add(name="id", strings=ids)
    message.columns.add(name="features.age", doubles=ages)  # NaN is a missing value
    words = sorted(set(countries))
    message.columns.add(name="features.country", strings=words, indices=[words.index(c) for c in countries])
    message.columns.add(name="prediction", doubles=scores)
    return message.SerializeToString(deterministic=True)


def as_arrow(ts, ids, ages, countries, scores):
    batch = pa.record_batch({
        "ts": pa.array(ts, pa.int64()),
        "id": pa.array(ids),
        "features.age": pa.array(ages, pa.float64()),
        "features.country": pa.array(countries).dictionary_encode(),
        "prediction": pa.array(scores),
    })
    out = io.BytesIO()
    with pa.ipc.new_stream(out, batch.schema) as writer:
        writer.write_batch(batch)
    return out.getvalue()


async def main(url):
    now = int(time.time() * 1000)
    events = ([now] * 3, ["a", "b", "c"], [41.0, 28.0, math.nan], ["DE", "FR", "DE"], [0.2, 0.7, 0.4])
    connection = await nats.connect(url)
    stream = connection.jetstream()
    for message in (as_protobuf(*events), as_arrow(*events)):
        await stream.publish("ml.events.credit-risk", message)
    await connection.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "nats://127.0.0.1:4222"))
