"""What the checks share: an error that names what is wrong, and the datasets as rows."""

import json
import sys
from collections import defaultdict
from pathlib import Path

import pyarrow.dataset

DATASETS = ["active_users", "m2m_tokens", "event_counts", "dead_letters"]


class Wrong(Exception):
    """The output is not what it should be."""


def expect(condition, message):
    if not condition:
        raise Wrong(message)


def expect_equal(found, expected, what):
    if found == expected:
        return
    if isinstance(found, dict) and isinstance(expected, dict):
        keys = [key for key in {**found, **expected} if found.get(key) != expected.get(key)]
        lines = [f"  {key}: found {found.get(key)}, expected {expected.get(key)}" for key in keys[:10]]
        raise Wrong(f"{what}: {len(keys)} of {len(expected)} differ\n" + "\n".join(lines))
    raise Wrong(f"{what}: found {found}, expected {expected}")


def run(check):
    """Runs `check(out, truth, events path)` on the command line's three paths."""
    out, truth, events = (Path(argument) for argument in sys.argv[1:4])
    try:
        check(out, json.loads(truth.read_text()), events)
    except Wrong as wrong:
        sys.exit(f"{Path(sys.argv[0]).name}: {wrong}")


def events_of(path):
    """The events of a simulated file (stream envelopes), each log_id once; and the lines that are none."""
    seen, events, others = set(), [], []
    with open(path, "rb") as lines:
        for line in lines:
            try:
                data = json.loads(line)["data"]
                log_id, code = data["log_id"], data["type"]
            except (ValueError, KeyError, TypeError):
                others.append(line.rstrip(b"\n"))
                continue
            expect(isinstance(code, str), f"a type that is no string: {code!r}")
            if log_id not in seen:
                seen.add(log_id)
                events.append(data)
    return events, others


def rows_of(out, dataset):
    table = pyarrow.dataset.dataset(out / dataset, format="parquet", partitioning="hive").to_table()
    return table.to_pylist()


def sums(rows, key, value):
    result = defaultdict(int)
    for row in rows:
        result[key(row)] += value(row)
    return {key: total for key, total in result.items() if total}
