"""What DuckDB finds in the views of _current/views.sql, by glob in the datasets' folders, or in the Delta tables that were
exported, as deltalake reads them: views.py OUT TENANT [glob | delta]

Prints JSON: events and users by day, users of all days by `active_users` and by `daily`, tokens, dead letters.
"""

import json
import os
import sys
from pathlib import Path

import duckdb
import polars as pl
from datasketches import hll_sketch
from deltalake import DeltaTable

from common import DATASETS, estimate_of, expect_equal

out, tenant, how = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
connection = duckdb.connect()
connection.execute("SET TimeZone = 'UTC'")
if how == ["glob"]:
    for dataset in DATASETS:
        files = f"{out}/{dataset}/**/*.parquet"
        connection.execute(f"CREATE VIEW {dataset} AS SELECT * FROM read_parquet('{files}', hive_partitioning = true)")
elif how == ["delta"]:
    for dataset in [*DATASETS, "daily"]:
        table = DeltaTable(out / dataset)
        connection.register(dataset, table.to_pyarrow_dataset())
        # Polars reads the same rows, of the types the log tells.
        polars_rows = pl.scan_delta(str(out / dataset)).collect()
        arrow_rows = table.to_pyarrow_table()
        expect_equal(polars_rows.height, arrow_rows.num_rows, f"rows of {dataset}")
        expect_equal(polars_rows.columns, [field.name for field in table.schema().fields], f"columns of {dataset}")
        expect_equal(polars_rows.schema["date"], pl.Date, f"type of the day in {dataset}")
else:
    connection.execute((out / "_current" / "views.sql").read_text())


def ask(sql):
    return connection.execute(sql, {"tenant": tenant} if "$tenant" in sql else None).fetchall()


def estimate(sketches):
    return estimate_of([hll_sketch.deserialize(sketch) for sketch in sketches])


def users_of(view):
    of_tenant = f"FROM {view} WHERE tenant = $tenant AND dimension = 'tenant'"
    rows = ask(f"SELECT CAST(date AS VARCHAR), list(users_hll) {of_tenant} GROUP BY 1")
    by_day = {day: estimate(sketches) for day, sketches in rows}
    return {"by_day": by_day, "all": estimate([sketch for _, sketches in rows for sketch in sketches])}


[(issued, failed)] = ask(
    "SELECT sum(issued) FILTER (billable)::BIGINT, sum(failed)::BIGINT FROM m2m_tokens WHERE tenant = $tenant"
)
events = ask("SELECT date::VARCHAR, sum(events)::BIGINT FROM event_counts WHERE tenant = $tenant GROUP BY 1")
found = {
    "events_by_day": dict(events),
    "users": [users_of(view) for view in (["active_users"] if how else ["active_users", "daily"])],
    "issued": issued,
    "failed": failed,
    "dead_letters": ask("SELECT count(*) FROM dead_letters")[0][0],
}
print(json.dumps(found), flush=True)
# Threads of several native libraries end in whichever order, and now and then abort.
os._exit(0)
