# SPDX-License-Identifier: Apache-2.0
#
# Reads files with libraries that many people use, and compares each value with
# what it should be. The cases come on standard input; for each case and reader
# a line of JSON goes to standard output, with what is wrong or null.
import base64
import datetime
import decimal
import json
import math
import sys
import uuid

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def pyarrow_parquet(path):
    import pyarrow.parquet
    if path.endswith("/*.parquet"):
        path = path.removesuffix("/*.parquet")
    return pyarrow.parquet.read_table(path).to_pylist()


def duckdb_parquet(path):
    import duckdb
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return rows_of(connection.execute("SELECT * FROM read_parquet(?)", [path]))


def duckdb_json(path):
    import duckdb
    with duckdb.connect() as connection:
        return rows_of(connection.execute("SELECT * FROM read_json(?, maximum_object_size = 67108864)", [path]))


def rows_of(result):
    names = [column[0] for column in result.description]
    return [dict(zip(names, row)) for row in result.fetchall()]


def polars_parquet(path):
    import polars
    return polars.read_parquet(path).to_dicts()


def polars_json(path):
    import polars
    return polars.read_ndjson(path, infer_schema_length=None).to_dicts()


def pyarrow_json(path):
    import pyarrow.json
    return pyarrow.json.read_json(path).to_pylist()


def fastparquet_parquet(path):
    import fastparquet
    return fastparquet.ParquetFile(path).to_pandas().to_dict("records")


def fastavro_avro(path):
    import fastavro
    with open(path, "rb") as file:
        return list(fastavro.reader(file))


def python_json(path):
    def strict(pairs):
        names = [name for name, _ in pairs]
        if len(names) != len(set(names)):
            raise ValueError("two members of one name")
        return dict(pairs)
    with open(path, encoding="utf-8") as file:
        return [json.loads(line, object_pairs_hook=strict) for line in file]


READERS = {
    "parquet": {"pyarrow": pyarrow_parquet, "duckdb": duckdb_parquet, "polars": polars_parquet, "fastparquet": fastparquet_parquet},
    "avro": {"fastavro": fastavro_avro},
    "jsonl": {"python": python_json, "duckdb": duckdb_json, "polars": polars_json, "pyarrow": pyarrow_json},
}


def micros(value):
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            value = value.replace(tzinfo=datetime.timezone.utc)
        return (value - EPOCH) // datetime.timedelta(microseconds=1)
    if isinstance(value, datetime.time):
        return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond
    if isinstance(value, datetime.timedelta):
        return value // datetime.timedelta(microseconds=1)
    return value


def pairs(value):
    """A map, as each library has it."""
    if isinstance(value, dict):
        return value
    return {(e["key"] if isinstance(e, dict) else e[0]): (e["value"] if isinstance(e, dict) else e[1]) for e in value}


def spelled(value):
    """A string, or what a reader of JSON has made of one that tells a time."""
    if isinstance(value, (datetime.date, datetime.time)):
        value = value.isoformat().removesuffix("+00:00")
        value = value.rstrip("0") if "." in value else value
    return str(value).removesuffix("Z").removesuffix("T00:00:00")


def differs(want, got, where=""):
    """Says how a value differs from what it should be; None if it does not.

    What JSON has no values for is an object of one member that begins with $.
    """
    ok = True
    if want is None:
        ok = got is None or str(got) in ("nan", "<NA>", "NaT")
    elif isinstance(want, dict) and len(want) == 1 and next(iter(want)).startswith("$"):
        kind, inner = next(iter(want.items()))
        if got is None:
            ok = False
        elif kind == "$bytes":
            got = got.bytes if isinstance(got, uuid.UUID) else got
            ok = isinstance(got, (bytes, bytearray)) and bytes(got) == base64.b64decode(inner)
        elif kind == "$base64":
            ok = got == inner or isinstance(got, (bytes, bytearray)) and bytes(got) == base64.b64decode(inner)
        elif kind == "$decimal":
            if isinstance(got, float):
                got = repr(got)
            ok = decimal.Decimal(got) == decimal.Decimal(inner)
        elif kind == "$micros":
            ok = micros(got) == inner
        elif kind == "$date":
            ok = str(got)[:10] == inner
        elif kind == "$uuid":
            ok = uuid.UUID(bytes=bytes(got)) == uuid.UUID(inner) if isinstance(got, (bytes, bytearray)) else str(got) == inner
        elif kind == "$map":
            return differs(inner, pairs(got), where)
        elif kind == "$present":
            ok = True
        elif kind == "$nan":
            ok = isinstance(got, float) and math.isnan(got)
        elif kind == "$inf":
            ok = got == math.copysign(math.inf, inner)
        elif kind == "$repeat":
            text, times = inner
            ok = (got.decode() if isinstance(got, (bytes, bytearray)) else got) == text * times
            got = len(got)
        else:
            return f"{where}: {kind} is not known"
    elif isinstance(want, dict):
        if not isinstance(got, dict) or set(want) != set(got):
            return f"{where}: {short(got)}, should have {sorted(want)}"
        for name in want:
            if found := differs(want[name], got[name], f"{where}.{name}"):
                return found
    elif isinstance(want, list):
        if got is None or isinstance(got, (str, bytes)) or len(want) != len(got):
            return f"{where}: {short(got)}, should have {len(want)} elements"
        for i, (w, g) in enumerate(zip(want, got)):
            if found := differs(w, g, f"{where}[{i}]"):
                return found
    elif isinstance(want, str):
        ok = spelled(got) == spelled(want)
    elif isinstance(want, bool):
        ok = got == want
    else:
        ok = got is not None and not isinstance(got, str) and (got == want or isinstance(want, float) and math.isclose(got, want, rel_tol=1e-6))
    return None if ok else f"{where}: {short(got)}, should be {short(want)}"


def is_plain(want):
    return not isinstance(want, list) and not (isinstance(want, dict) and (len(want) != 1 or "$map" in want or not next(iter(want)).startswith("$")))


def short(value):
    text = repr(value)
    return text if len(text) < 200 else text[:200] + "…"


def without_others(want, got):
    """Leaves out columns that other lines have, which are null."""
    if not isinstance(want, dict) or not isinstance(got, dict):
        return got
    return {name: without_others(want.get(name), value) for name, value in got.items() if name in want or value is not None}


def compare(case, reader, read):
    want = case["rows"]
    got = read(case["path"])
    if "*" in case["path"]:
        got = sorted(got, key=lambda row: row["_record"]["offset"])
    if len(got) != len(want):
        return f"{len(got)} rows, should be {len(want)}"
    for i, (w, g) in enumerate(zip(want, got)):
        if reader == "fastparquet":  # nested values are columns of their own there
            w = {name: value for name, value in w.items() if is_plain(value) and name in g}
            if not w:
                return "no column to compare"
            g = {name: g[name] for name in w}
        elif case["format"] == "jsonl":
            g = without_others(w, g)
        if found := differs(w, g, f"row {i}"):
            return found
    return None


def main():
    for case in json.load(sys.stdin):
        for reader, read in READERS[case["format"]].items():
            if reader in case.get("not", []):
                continue
            try:
                wrong = compare(case, reader, read)
            except BaseException as error:  # some libraries' errors are no Exception
                wrong = f"{type(error).__name__}: {str(error)[:500]}"
            print(json.dumps({"case": case["name"], "reader": reader, "wrong": wrong}), flush=True)


if __name__ == "__main__":
    main()
