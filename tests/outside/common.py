"""What the checks share: an error that names what is wrong, and the datasets as rows."""

import json
import struct
import sys
from collections import defaultdict
from pathlib import Path

import pyarrow.dataset
from datasketches import hll_union, tgt_hll_type

# Event types that make a user active, as Auth0's staff published them.
PUBLISHED = {"s", "sepft", "ssa", "seoobft", "seotpft", "sercft", "sertft", "seacft", "scoa", "sens"}
LG_K = 12
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


def run(check, *more):
    """Runs `check(out, truth, events path)` on the command line's three paths."""
    out, truth, events = (Path(argument) for argument in sys.argv[1:4])
    try:
        check(out, json.loads(truth.read_text()), events, *more)
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


def users_of(path):
    """The users of each tenant and day."""
    users = defaultdict(set)
    for event in events_of(path)[0]:
        if event["type"] in PUBLISHED and event.get("user_id"):
            users[event["tenant_name"], event["date"][:10]].add(event["user_id"])
    return users


def union_of(sketches):
    union = hll_union(LG_K)
    for sketch in sketches:
        union.update(sketch)
    return union.get_result(tgt_hll_type.HLL_8)


def estimate_of(sketches):
    """The estimate that does not depend on the order the users came in: that of a union with itself."""
    union = union_of(sketches)
    return union_of([union, union]).get_estimate()


def registers_of(sketch):
    """How a sketch holds its users, and what it knows of them, whatever order they came in."""
    data = union_of([sketch]).serialize_compact()
    match data[7] & 3:
        case 2:
            return "array", data[40 : 40 + (1 << LG_K)]
        case mode:
            return "set", sorted(struct.unpack_from(f"<{(len(data) - (8, 12)[mode]) // 4}I", data, (8, 12)[mode]))


def expect_same_registers(sketches, what):
    """Sketches by who made them, all of the same users; how they hold them."""
    (first, one), *others = ((name, registers_of(sketch)) for name, sketch in sketches.items())
    for name, other in others:
        expect(one == other, f"{what}: {first} and {name} are other registers")
    return one[0]


def rows_of(out, dataset):
    table = pyarrow.dataset.dataset(out / dataset, format="parquet", partitioning="hive").to_table()
    return table.to_pylist()


def sums(rows, key, value):
    result = defaultdict(int)
    for row in rows:
        result[key(row)] += value(row)
    return {key: total for key, total in result.items() if total}
