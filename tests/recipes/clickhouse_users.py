"""Distinct active users of any days with ClickHouse: clickhouse_users.py OUT TENANT FIRST_DAY LAST_DAY [DIMENSION]

Prints JSON: by key of the dimension (tenant, organization, connection or client) the lower bound, the estimate and the upper
bound. Sketches are united; estimates must never be added.

ClickHouse finds and groups the rows, and adds whatever is to be added (events, logins, tokens). It has no function that reads
these sketches: its own uniq states are of other kinds, and would have to see every user again. So it hands them out, and
Apache's datasketches unite them here. The same statement works on a server, by any client.
"""

import json
import sys

import chdb
from datasketches import hll_sketch, hll_union

out, tenant, first, last, dimension = [*sys.argv[1:], "tenant"][:5]


def users(sketches):
    union = hll_union(12)
    for sketch in sketches:
        union.update(hll_sketch.deserialize(sketch))
    # Adds nobody, and makes the estimate one that does not depend on the order in which users came.
    union.update(union.get_result())
    return [union.get_lower_bound(3), union.get_estimate(), union.get_upper_bound(3)]


keys = chdb.query(
    """
    SELECT key, groupArray(users_hll) AS sketches
    FROM file({files:String}, Parquet)
    WHERE tenant = {tenant:String} AND dimension = {dimension:String} AND date BETWEEN {first:Date} AND {last:Date}
    GROUP BY key
    SETTINGS use_hive_partitioning = 1, output_format_arrow_string_as_string = 0
    """,
    "ArrowTable",
    params={
        "files": f"{out}/active_users/**/*.parquet",
        "tenant": tenant,
        "dimension": dimension,
        "first": first,
        "last": last,
    },
)
rows = zip(keys["key"].to_pylist(), keys["sketches"].to_pylist())
print(json.dumps({key.decode(): users(sketches) for key, sketches in rows}))
