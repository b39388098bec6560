"""ghostlight beside ClickHouse (chdb), DuckDB, Polars, DataFusion and a Python loop: the same file, the same question.

The file: simulated Auth0 log stream entries, a JSON object a line, without copies and broken lines, since the peers do not
take those out. The question: events and distinct users of each window of 5 minutes and event type, written as Parquet.
ghostlight answers more (three datasets at a finer grain, mergeable sketches, the order of its input, a ledger that survives
kill -9, copies taken out, every record that is no JSON kept) and syncs what it writes; the others write one file.

Every engine is a process of its own, pinned to as many cores as it has threads; engines take turns, so that a noisy moment
hits all. Printed: the median wall time, MB/s of input, CPU time and peak memory. Then every answer is compared: counts must
be equal, distinct users within 3 standard errors of the exact number, in sum over all windows and types.
"""

import argparse
import concurrent.futures
import json
import multiprocessing
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GHOSTLIGHT = ROOT / "target/compare/release/ghostlight"
WINDOW_MS = 300_000


def chdb(file, out, threads):
    import chdb

    chdb.query(
        f"""
        INSERT INTO FUNCTION file('{out}', Parquet)
        SELECT intDiv(toUnixTimestamp64Milli(parseDateTime64BestEffort(data.date)), {WINDOW_MS}) AS slot, data.type AS type,
               count() AS events, uniqHLL12If(data.user_id, data.user_id != '') AS users
        FROM file('{file}', JSONEachRow, 'data Tuple(date String, type String, user_id String)')
        GROUP BY slot, type
        SETTINGS max_threads = {threads}, input_format_skip_unknown_fields = 1, engine_file_truncate_on_insert = 1
        """
    )


def duckdb(file, out, threads):
    import duckdb

    connection = duckdb.connect(config={"threads": threads})
    connection.execute(
        f"""
        COPY (
            SELECT epoch_ms(data.date::TIMESTAMP) // {WINDOW_MS} AS slot, data.type AS type,
                   count(*) AS events, approx_count_distinct(data.user_id) FILTER (data.user_id <> '') AS users
            FROM read_ndjson('{file}', columns = {{data: 'STRUCT(date VARCHAR, type VARCHAR, user_id VARCHAR)'}})
            GROUP BY ALL
        ) TO '{out}' (FORMAT parquet)
        """
    )


def polars(file, out, threads):
    os.environ["POLARS_MAX_THREADS"] = str(threads)
    import polars as pl

    schema = {"data": pl.Struct({"date": pl.String, "type": pl.String, "user_id": pl.String})}
    data = pl.col("data").struct
    when = data.field("date").str.to_datetime("%Y-%m-%dT%H:%M:%S%.3fZ", time_unit="ms").dt.epoch("ms")
    user = data.field("user_id")
    (
        pl.scan_ndjson(file, schema=schema)
        .select(slot=when // WINDOW_MS, type=data.field("type"), user=user)
        .group_by("slot", "type")
        .agg(events=pl.len(), users=pl.col("user").filter(pl.col("user") != "").approx_n_unique())
        .sink_parquet(out)
    )


def datafusion(file, out, threads):
    import pyarrow as pa
    from datafusion import SessionConfig, SessionContext

    context = SessionContext(SessionConfig().with_target_partitions(threads))
    data = pa.struct([("date", pa.string()), ("type", pa.string()), ("user_id", pa.string())])
    context.register_json("lines", str(file), schema=pa.schema([("data", data)]), file_extension=".ndjson")
    context.sql(
        f"""
        SELECT CAST(arrow_cast(to_timestamp_millis(data['date']), 'Int64') / {WINDOW_MS} AS BIGINT) AS slot,
               data['type'] AS type, count(*) AS events,
               approx_distinct(data['user_id']) FILTER (WHERE data['user_id'] <> '') AS users
        FROM lines GROUP BY 1, 2
        """
    ).write_parquet(str(out))


def python_loop(file, out, threads):
    from datetime import datetime

    import pyarrow as pa
    import pyarrow.parquet as pq

    counts, users = {}, {}
    with open(file, "rb") as lines:
        for line in lines:
            data = json.loads(line)["data"]
            when = datetime.fromisoformat(data["date"])
            key = (int(when.timestamp() * 1000) // WINDOW_MS, data["type"])
            counts[key] = counts.get(key, 0) + 1
            if data.get("user_id"):
                users.setdefault(key, set()).add(data["user_id"])
    rows = [(slot, kind, count, len(users.get((slot, kind), ()))) for (slot, kind), count in counts.items()]
    columns = dict(zip(("slot", "type", "events", "users"), map(list, zip(*rows))))
    pq.write_table(pa.table(columns), out)


def ghostlight(file, out, threads):
    settings = Path(f"{out}.toml")
    settings.write_text(f"[files]\nthreads = {threads}\n[log]\nlevel = \"warn\"\n")
    os.execv(GHOSTLIGHT, [str(GHOSTLIGHT), "ingest", "--config", str(settings), "--out", f"{out}.d", str(file)])


ENGINES = {
    "ghostlight": ghostlight,
    "ClickHouse (chdb)": chdb,
    "DuckDB": duckdb,
    "DataFusion": datafusion,
    "Polars": polars,
    "Python loop": python_loop,
}


def run(name, file, out, threads):
    """Wall and CPU seconds and peak bytes of a process that does nothing but this."""
    cores = sorted(os.sched_getaffinity(0))[:threads]
    command = [sys.executable, __file__, "--engine", name, str(file), str(out), str(threads)]
    began = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                             preexec_fn=lambda: os.sched_setaffinity(0, cores))
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - began
    if status != 0:
        raise SystemExit(f"{name} failed: {said.decode(errors='replace')[-2000:]}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def apart(function, *arguments):
    """In a process of its own: no less than what this one has grown to is the peak memory of any that it starts."""
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def answer(name, out):
    """{(slot, type): events} and the sum of distinct users."""
    import pyarrow.dataset as ds

    if name == "ghostlight":
        counts = ds.dataset(f"{out}.d/event_counts", partitioning="hive")
        counts = counts.to_table(columns=["window_start", "type", "events"]).to_pydict()
        found = {}
        for start, kind, events in zip(counts["window_start"], counts["type"], counts["events"]):
            key = (round(start.timestamp() * 1000) // WINDOW_MS, kind)
            found[key] = found.get(key, 0) + events
        return found, None
    rows = ds.dataset(out).to_table().to_pydict()
    found = {(int(slot), kind): events for slot, kind, events in zip(rows["slot"], rows["type"], rows["events"])}
    return found, sum(rows["users"])


def of_known(found, known):
    merged = {}
    for (slot, kind), events in found.items():
        key = (slot, kind if known is None or kind in known else "other")
        merged[key] = merged.get(key, 0) + events
    return merged


def compare(answers):
    """Ends the program where two answers differ."""
    exact, users = answers["Python loop"]
    # Codes that Auth0's catalogue does not have are one type to ghostlight.
    known = {kind for _, kind in answers["ghostlight"][0]} if "ghostlight" in answers else None
    exact = of_known(exact, known)
    for name, (found, estimated) in answers.items():
        found = of_known(found, known)
        if found != exact:
            wrong = [key for key in exact.keys() | found.keys() if exact.get(key) != found.get(key)]
            raise SystemExit(f"{name} counts otherwise at {len(wrong)} of {len(exact)} keys, such as {wrong[:3]}")
        # The sum of many small sketches: each at most a few per cent off, and independently.
        if estimated is not None and abs(estimated - users) > 0.02 * users:
            raise SystemExit(f"{name} has {estimated} users in sum, exactly they are {users}")
    print(f"the answers agree: {sum(exact.values())} events at {len(exact)} windows and types, {users} users in sum")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--without", nargs="*", default=[], choices=ENGINES, help="engines to leave out")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ghostlight-compare-") as folder:
        folder = Path(folder)
        file = folder / "events.ndjson"
        simulate = [GHOSTLIGHT, "simulate", "--days", "3", "--events", str(arguments.events), "--duplicates", "0",
                    "--malformed", "0", "--output", file]
        subprocess.run(simulate, check=True, stdout=subprocess.DEVNULL)
        size = file.stat().st_size
        file.read_bytes()
        print(f"{arguments.events} events, {size / 1e6:.0f} MB in the page cache, median of {arguments.rounds} rounds")
        names = [name for name in ENGINES if name not in arguments.without]
        for threads in arguments.threads:
            taken, answers = {name: [] for name in names}, {}
            for number in range(arguments.rounds):
                for name in names:
                    out = folder / f"{threads}-{number}-{name.split()[0]}.parquet"
                    taken[name].append(run(name, file, out, threads))
                    if number == 0:
                        answers[name] = apart(answer, name, out)
                    for left in folder.glob(f"{out.name}*"):
                        shutil.rmtree(left) if left.is_dir() else left.unlink()
            print(f"\n{threads} thread{'s'[:threads - 1]}{'':<12} wall s   MB/s  CPU s  peak MB  ours is")
            median = lambda name, part: statistics.median(found[part] for found in taken[name])
            for name in sorted(names, key=lambda name: median(name, 0)):
                wall = median(name, 0)
                times = f"{wall / median('ghostlight', 0):.2f} times as fast" if "ghostlight" in names else ""
                print(f"{name:<20} {wall:>7.2f} {size / 1e6 / wall:>6.0f} {median(name, 1):>6.2f} {median(name, 2) / 1e6:>8.0f}  {times}")
            if "Python loop" in answers:
                compare(answers)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--engine"]:
        _, _, engine, file, out, threads = sys.argv
        ENGINES[engine](Path(file), Path(out), int(threads))
    else:
        main()
