"""Three engines open every dataset: the same columns, types and rows."""

import datetime

import duckdb
import polars
import pyarrow
import pyarrow.dataset

import common
from common import DATASETS, expect, expect_equal

TIME, TEXT, NUMBER, BYTES, REAL = "time", "text", "number", "bytes", "real"

# The documented columns, each with what kind of value it holds.
COLUMNS = {
    "active_users": {
        "window_start": TIME, "window_seconds": NUMBER, "tenant": TEXT, "dimension": TEXT, "key": TEXT,
        "key_name": TEXT, "events": NUMBER, "logins": NUMBER, "signups": NUMBER, "users_hll": BYTES,
        "users_estimate": REAL, "users_lower": REAL, "users_upper": REAL, "first_at": TIME, "last_at": TIME,
        "max_lateness_ms": NUMBER,
    },
    "m2m_tokens": {
        "window_start": TIME, "window_seconds": NUMBER, "tenant": TEXT, "client_id": TEXT, "client_name": TEXT,
        "audience": TEXT, "organization_id": TEXT, "scope": TEXT, "ip": TEXT, "user_agent": TEXT, "issued": NUMBER,
        "failed": NUMBER, "issued_seconds": BYTES, "billable": "truth", "first_at": TIME, "last_at": TIME,
        "first_log_id": TEXT, "last_log_id": TEXT,
    },
    "event_counts": {
        "window_start": TIME, "window_seconds": NUMBER, "tenant": TEXT, "type": TEXT, "class": TEXT,
        "client_id": TEXT, "connection": TEXT, "strategy": TEXT, "organization_id": TEXT, "events": NUMBER,
    },
    "dead_letters": {
        "read_at": TIME, "arrived_at": TIME, "source": TEXT, "incarnation": TEXT, "partition": TEXT,
        "offset": NUMBER, "position": NUMBER, "reason": TEXT, "raw": BYTES,
    },
}

DUCKDB_TYPES = {
    "TIMESTAMP WITH TIME ZONE": TIME, "VARCHAR": TEXT, "INTEGER": NUMBER, "BIGINT": NUMBER, "BLOB": BYTES,
    "DOUBLE": REAL, "BOOLEAN": "truth",
}
POLARS_TYPES = {
    polars.Datetime("ms", "UTC"): TIME, polars.String(): TEXT, polars.Int32(): NUMBER, polars.Int64(): NUMBER,
    polars.Binary(): BYTES, polars.Float64(): REAL, polars.Boolean(): "truth",
}
PYARROW_TYPES = {
    pyarrow.timestamp("ms", tz="UTC"): TIME, pyarrow.string(): TEXT, pyarrow.int32(): NUMBER,
    pyarrow.int64(): NUMBER, pyarrow.binary(): BYTES, pyarrow.float64(): REAL, pyarrow.bool_(): "truth",
}

MICROSECOND = datetime.timedelta(microseconds=1)
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def plain(value):
    """A value as every engine's looks: times as microseconds, days as text."""
    if isinstance(value, datetime.datetime):
        expect(value.utcoffset() == datetime.timedelta(0), f"{value} is not in UTC")
        return (value - EPOCH) // MICROSECOND
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value


def comparable(names, rows):
    """Rows as sorted tuples, their columns in the order of their names."""
    names = sorted(names)
    tuples = [tuple(plain(row[name]) for name in names) for row in rows]
    return sorted(tuples, key=repr)


def by_duckdb(out, dataset):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    files = f"{out}/{dataset}/*/*.parquet"
    query = "SELECT * FROM read_parquet(?, hive_partitioning = true)"
    described = connection.execute(f"DESCRIBE {query}", [files]).fetchall()
    types = {name: str(kind) for name, kind, *_ in described}
    expect_equal(types.pop("date", None), "DATE", f"DuckDB's type of {dataset}.date")
    # By way of Arrow: DuckDB itself needs one more package to give times with a zone to Python.
    table = connection.sql(query, params=[files]).to_arrow_table()
    return {name: DUCKDB_TYPES.get(kind, kind) for name, kind in types.items()}, table.to_pylist()


def by_polars(out, dataset):
    frame = polars.scan_parquet(f"{out}/{dataset}/*/*.parquet", hive_partitioning=True, try_parse_hive_dates=True)
    frame = frame.collect()
    types = dict(frame.schema)
    expect_equal(types.pop("date", None), polars.Date(), f"Polars' type of {dataset}.date")
    return {name: POLARS_TYPES.get(kind, str(kind)) for name, kind in types.items()}, frame.to_dicts()


def by_pyarrow(out, dataset):
    table = pyarrow.dataset.dataset(out / dataset, format="parquet", partitioning="hive").to_table()
    types = {field.name: field.type for field in table.schema}
    expect("date" in types, f"pyarrow found no column date in {dataset}")
    types.pop("date")
    return {name: PYARROW_TYPES.get(kind, str(kind)) for name, kind in types.items()}, table.to_pylist()


def check(out, _truth, _events):
    for dataset in DATASETS:
        expected = None
        for name, engine in [("DuckDB", by_duckdb), ("Polars", by_polars), ("pyarrow", by_pyarrow)]:
            types, rows = engine(out, dataset)
            expect_equal(types, COLUMNS[dataset], f"{name}'s columns of {dataset}")
            expect(rows, f"{name} found no row in {dataset}")
            found = comparable([*types, "date"], rows)
            if expected is None:
                expected = found
            expect_equal(len(found), len(expected), f"rows of {dataset} by {name}")
            for mine, other in zip(found, expected):
                expect_equal(mine, other, f"a row of {dataset} by {name}, and by DuckDB")
        if dataset != "dead_letters":
            for row in rows:
                expect_equal(str(row["date"]), row["window_start"].date().isoformat(), f"the folder of a row of {dataset}")
        print(f"{dataset}: {len(expected)} rows are the same in three engines")


common.run(check)
