"""Distinct active users of any days with DuckDB: duckdb_users.py OUT TENANT FIRST_DAY LAST_DAY [DIMENSION]

Prints JSON: by key of the dimension (tenant, organization, connection or client) the lower bound, the estimate and the upper
bound. Sketches are united; estimates must never be added.
"""

import json
import sys

import duckdb
from datasketches import hll_sketch, hll_union

out, tenant, first, last, dimension = [*sys.argv[1:], "tenant"][:5]
rows = duckdb.execute(
    """
    SELECT key, users_hll
    FROM read_parquet(? || '/active_users/**/*.parquet', hive_partitioning = true)
    WHERE tenant = ? AND dimension = ? AND date BETWEEN CAST(? AS DATE) AND CAST(? AS DATE)
    """,
    [out, tenant, dimension, first, last],
).fetchall()
unions = {}
for key, sketch in rows:
    unions.setdefault(key, hll_union(12)).update(hll_sketch.deserialize(sketch))


def bounds(union):
    # Adds nobody, and makes the estimate one that does not depend on the order in which users came.
    union.update(union.get_result())
    return [union.get_lower_bound(3), union.get_estimate(), union.get_upper_bound(3)]


print(json.dumps({key: bounds(union) for key, union in unions.items()}))
