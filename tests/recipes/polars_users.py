"""Distinct active users of any days with Polars: polars_users.py OUT TENANT FIRST_DAY LAST_DAY [DIMENSION]

Prints JSON: by key of the dimension (tenant, organization, connection or client) the lower bound, the estimate and the upper
bound. Sketches are united; estimates must never be added.
"""

import json
import sys
from datetime import date

import polars as pl
from datasketches import hll_sketch, hll_union

out, tenant, first, last, dimension = [*sys.argv[1:], "tenant"][:5]


def users(sketches):
    union = hll_union(12)
    for sketch in sketches:
        union.update(hll_sketch.deserialize(sketch))
    # Adds nobody, and makes the estimate one that does not depend on the order in which users came.
    union.update(union.get_result())
    return [union.get_lower_bound(3), union.get_estimate(), union.get_upper_bound(3)]


keys = (
    pl.scan_parquet(f"{out}/active_users/**/*.parquet", hive_partitioning=True, try_parse_hive_dates=True)
    .filter(
        pl.col("tenant") == tenant,
        pl.col("dimension") == dimension,
        pl.col("date").is_between(date.fromisoformat(first), date.fromisoformat(last)),
    )
    .group_by("key")
    .agg("users_hll")
    .collect()
)
print(json.dumps({key: users(sketches) for key, sketches in keys.select("key", "users_hll").iter_rows()}))
