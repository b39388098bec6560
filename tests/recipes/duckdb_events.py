"""What one user did, with DuckDB: duckdb_events.py OUT USER_ID FIRST_DAY LAST_DAY

Prints JSON: the user's events, each once, in the order of their time. Needs the dataset `events` (setting datasets.events). Where user
ids are hashed, GHOSTLIGHT_PRIVACY_KEY is the key: the user is looked for by the hash.
"""

import hashlib
import hmac
import json
import os
import sys

import duckdb

out, user_id, first, last = sys.argv[1:5]
if key := os.environ.get("GHOSTLIGHT_PRIVACY_KEY"):
    user_id = "hmac:" + hmac.new(key.encode(), user_id.encode(), hashlib.sha256).hexdigest()[:32]
duckdb.execute("SET TimeZone = 'UTC'")
columns = ["occurred_at", "log_id", "type", "client_name", "connection", "ip", "user_agent", "description"]
rows = duckdb.execute(
    f"""
    SELECT occurred_at::VARCHAR, {", ".join(columns[1:])}
    FROM read_parquet(? || '/events/**/*.parquet', hive_partitioning = true)
    WHERE user_id = ? AND date BETWEEN CAST(? AS DATE) AND CAST(? AS DATE)
    QUALIFY log_id = '' OR row_number() OVER (PARTITION BY log_id) = 1
    ORDER BY occurred_at, log_id
    """,
    [out, user_id, first, last],
).fetchall()
print(json.dumps([dict(zip(columns, row)) for row in rows]))
