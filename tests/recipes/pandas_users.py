"""Distinct active users of any days with pandas: pandas_users.py OUT TENANT FIRST_DAY LAST_DAY [DIMENSION]

Prints JSON: by key of the dimension (tenant, organization, connection or client) the lower bound, the estimate and the upper
bound. Sketches are united; estimates must never be added.
"""

import json
import sys

import pandas as pd
from datasketches import hll_sketch, hll_union

out, tenant, first, last, dimension = [*sys.argv[1:], "tenant"][:5]


def users(sketches):
    union = hll_union(12)
    for sketch in sketches:
        union.update(hll_sketch.deserialize(sketch))
    # Adds nobody, and makes the estimate one that does not depend on the order in which users came.
    union.update(union.get_result())
    return [union.get_lower_bound(3), union.get_estimate(), union.get_upper_bound(3)]


# A day's folder is text such as 2026-11-01, which sorts as days do.
days = [("tenant", "==", tenant), ("dimension", "==", dimension), ("date", ">=", first), ("date", "<=", last)]
rows = pd.read_parquet(f"{out}/active_users", columns=["key", "users_hll"], filters=days)
print(json.dumps({key: users(sketches) for key, sketches in rows.groupby("key")["users_hll"]}))
