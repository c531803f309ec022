# SPDX-License-Identifier: Apache-2.0
"""Writes serialized.json: values as Confluent's own serializers write them.

Run once, with a registry that serves Confluent's API:

    pip install 'confluent-kafka[avro,json,protobuf]==2.16.0' grpcio-tools
    python serialize.py http://127.0.0.1:8080/apis/ccompat/v7 > serialized.json

Each entry has a schema as text, the same as the serializer has registered it,
and values: the bytes that follow the number of the schema, in base64, and what
they mean, as JSON.
"""

import base64
import importlib
import json
import pathlib
import subprocess
import sys
import tempfile

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

here = pathlib.Path(__file__).parent
client = SchemaRegistryClient({"url": sys.argv[1]})
entries = []


def add(name, kind, file, serializer, values):
    context = SerializationContext(name, MessageField.VALUE)
    entry = {"name": name, "type": kind, "text": (here / file).read_text(), "values": []}
    for value, meaning in values:
        raw = serializer(value, context)
        assert raw[0] == 0
        entry["values"].append({"payload": base64.b64encode(raw[5:]).decode(), "meaning": meaning})
    entry["registered"] = client.get_latest_version(f"{name}-value").schema.schema_str
    entries.append(entry)


people = [
    {"id": 1, "name": "Ada", "score": 0.5, "tags": ["a", "b"], "note": None, "kind": "FRIEND"},
    {"id": -(2**62), "name": "Grün \u6f22", "score": -1e300, "tags": [], "note": "n" * 300, "kind": "OTHER"},
]
add("avro", "AVRO", "person.avsc", AvroSerializer(client, (here / "person.avsc").read_text()), [(p, p) for p in people])

documents = [{"id": 1, "name": "Ada", "score": 0.5}, {"id": 2**52, "name": "Grün \u6f22", "score": -2.25}]
add("json", "JSON", "document.json", JSONSerializer((here / "document.json").read_text(), client), [(d, d) for d in documents])

with tempfile.TemporaryDirectory() as folder:
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"-I{here}", f"--python_out={folder}", "order.proto"], check=True)
    sys.path.insert(0, folder)
    pb = importlib.import_module("order_pb2")
    configuration = {"use.deprecated.format": False}
    add("protobuf", "PROTOBUF", "order.proto", ProtobufSerializer(pb.Order, client, configuration), [
        (pb.Order(number=7, customer="Ada", lines=[pb.Order.Line(item="x", count=2)], state=pb.PAID),
         {"number": 7, "customer": "Ada", "lines": [{"item": "x", "count": 2}], "state": "PAID"}),
    ])
    # A message that is not the first of its file: its place is before the value.
    add("protobuf-nested", "PROTOBUF", "order.proto", ProtobufSerializer(pb.Order.Line, client, configuration), [
        (pb.Order.Line(item="Grün", count=-3), {"item": "Grün", "count": -3}),
    ])

json.dump(entries, sys.stdout, indent=1)
print()
