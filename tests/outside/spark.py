"""Spark, in one session, answers questions by the recipe and makes sketches of the same ids.

spark.py OUT TRUTH EVENTS QUESTIONS: a question is [tenant, first day, last day, dimension]. Prints the answers as JSON, in
their order.
"""

import contextlib
import io
import json
import runpy
import sys
from pathlib import Path

from datasketches import hll_sketch
from pyspark.sql import SparkSession

import common
from common import expect, expect_equal

RECIPE = Path(__file__).parent.parent / "recipes" / "spark_users.py"


def answer(out, question):
    printed = io.StringIO()
    sys.argv = [str(RECIPE), str(out), *question]
    with contextlib.redirect_stdout(printed):
        runpy.run_path(str(RECIPE), run_name="__main__")
    return json.loads(printed.getvalue())


def check_sketches(spark, out, events):
    """Spark's own sketches of each tenant's users by day are ours, register by register."""
    users = common.users_of(events)
    rows = [(tenant, day, user) for (tenant, day), of_day in users.items() for user in of_day]
    spark.createDataFrame(rows, "tenant string, day string, user string").createOrReplaceTempView("users")
    spark.read.parquet(f"{out}/active_users").createOrReplaceTempView("active_users")
    both = spark.sql(
        """
        WITH theirs AS (
            SELECT tenant, day, hll_sketch_agg(user, 12) AS users FROM users GROUP BY tenant, day
        ), ours AS (
            SELECT tenant, CAST(date AS STRING) AS day, hll_union_agg(users_hll) AS users
            FROM active_users WHERE dimension = 'tenant' GROUP BY tenant, day
        )
        SELECT tenant, day, ours.users AS ours, theirs.users AS theirs, hll_union(ours.users, theirs.users) AS both
        FROM ours FULL JOIN theirs USING (tenant, day)
        """
    ).collect()
    expect_equal({(row.tenant, row.day) for row in both}, set(users), "days with users")
    sketches = {"ours": [], "theirs": [], "both": []}
    for row in both:
        of_row = {name: hll_sketch.deserialize(bytes(row[name])) for name in sketches}
        common.expect_same_registers(of_row, f"{row.tenant} on {row.day}")
        for name, sketch in of_row.items():
            sketches[name].append(sketch)
    months = {name: common.union_of(of_days) for name, of_days in sketches.items()}
    modes = common.expect_same_registers(months, "all days")
    expect(modes == "array", f"the days together were to fill the registers, they are held as a {modes}")


def check(out, truth, events, questions):
    spark = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "1")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    check_sketches(spark, out, events)
    print(json.dumps([answer(out, question) for question in questions]))


common.run(check, json.loads(sys.argv.pop()))
