"""Distinct active users of any days with Spark: spark_users.py OUT TENANT FIRST_DAY LAST_DAY [DIMENSION]

Prints JSON: by key of the dimension (tenant, organization, connection or client) the lower bound, the estimate and the upper
bound. Sketches are united; estimates must never be added.

Spark's own functions read the BINARY column as it is. They round the estimate and tell no bounds: those are read from the one
united sketch of each key by Apache's datasketches.
"""

import json
import sys

from datasketches import hll_sketch
from pyspark.sql import SparkSession

out, tenant, first, last, dimension = [*sys.argv[1:], "tenant"][:5]
spark = SparkSession.builder.appName("active users").getOrCreate()
spark.read.parquet(f"{out}/active_users").createOrReplaceTempView("active_users")
rows = spark.sql(
    """
    WITH united AS (
        SELECT key, hll_union_agg(users_hll) AS users
        FROM active_users
        WHERE tenant = :tenant AND dimension = :dimension AND date BETWEEN DATE(:first) AND DATE(:last)
        GROUP BY key
    ), settled AS (
        -- United with itself: adds nobody, and makes the estimate one that does not depend on the order in which users came.
        SELECT key, hll_union(users, users) AS users FROM united
    )
    SELECT key, users, hll_sketch_estimate(users) AS estimate FROM settled
    """,
    args={"tenant": tenant, "dimension": dimension, "first": first, "last": last},
).collect()


def bounds(users, estimate):
    sketch = hll_sketch.deserialize(bytes(users))
    return [sketch.get_lower_bound(3), estimate, sketch.get_upper_bound(3)]


print(json.dumps({row.key: bounds(row.users, row.estimate) for row in rows}))
