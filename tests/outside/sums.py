"""Plain SQL and plain sums over the datasets give the simulator's exact numbers."""

import datetime

import duckdb

import common
from common import expect, expect_equal, rows_of, sums


def published_code(code):
    """Codes that Auth0 never published are counted as `other`; the simulator's begin with zz_."""
    return "other" if code.startswith("zz_") else code


def check_counts(out, truth):
    expected = {}
    for tenant, codes in truth["by_type"].items():
        for code, count in codes.items():
            key = (tenant, published_code(code))
            expected[key] = expected.get(key, 0) + count
    expect(any(code == "other" for _, code in expected), "the simulation has no unknown code")
    found = duckdb.execute(
        "SELECT tenant, type, sum(events)::BIGINT FROM read_parquet(?, hive_partitioning = true) GROUP BY ALL",
        [f"{out}/event_counts/*/*.parquet"],
    ).fetchall()
    expect_equal({(tenant, code): events for tenant, code, events in found}, expected, "events by tenant and type")
    expect_equal(sum(events for *_, events in found), truth["distinct_events"], "events in all")
    print(f"event_counts: {len(found)} types of events, {truth['distinct_events']} events")


def check_tokens(out, truth):
    rows = rows_of(out, "m2m_tokens")
    grain = ["tenant", "client_id", "audience", "organization_id", "scope"]
    key_of = lambda row: tuple(row[name] for name in grain)
    issued = sums(rows, key_of, lambda row: row["issued"])
    expect_equal(issued, {key_of(tokens): tokens["issued"] for tokens in truth["m2m"]}, "tokens issued")
    expected = {
        (tenant, client): failed for tenant, clients in truth["m2m_failed"].items() for client, failed in clients.items()
    }
    expect(expected, "the simulation has no refused token request")
    failed = sums(rows, lambda row: (row["tenant"], row["client_id"]), lambda row: row["failed"])
    expect_equal(failed, expected, "token requests refused")

    milliseconds = lambda time: round(time.timestamp() * 1000)
    first, last, billable = {}, {}, {}
    for row in (row for row in rows if row["issued"]):
        key = key_of(row)
        first[key] = min(first.get(key, 1 << 62), milliseconds(row["first_at"]))
        last[key] = max(last.get(key, 0), milliseconds(row["last_at"]))
        billable[key] = row["billable"]
    expect_equal(first, {key_of(tokens): tokens["first_at_ms"] for tokens in truth["m2m"]}, "first issues")
    expect_equal(last, {key_of(tokens): tokens["last_at_ms"] for tokens in truth["m2m"]}, "last issues")
    expect_equal(billable, {key_of(tokens): tokens["billable"] for tokens in truth["m2m"]}, "billable tokens")
    print(f"m2m_tokens: {sum(issued.values())} issued, {sum(failed.values())} refused")
    return rows


def check_seconds(rows, events):
    """The seconds of a row are those of its tokens: exactly those of the events themselves."""
    expected = {}
    for event in events:
        if event["type"] != "seccft":
            continue
        time, scope = event["date"], event.get("scope") or ""
        scopes = scope.split() if isinstance(scope, str) else " ".join(scope).split()
        key = (
            event["client_id"], event.get("audience") or "", event.get("organization_id") or "",
            " ".join(sorted(set(scopes))), event["ip"],
        )
        expected.setdefault(key, set()).add(time[:19])
    found = {}
    for row in rows:
        seconds = row["issued_seconds"]
        expect_equal(len(seconds) * 8 // row["window_seconds"], 1, f"bits a second in {row}")
        bits = [i for i in range(len(seconds) * 8) if seconds[i // 8] >> (i % 8) & 1]
        expect(len(bits) <= row["issued"], f"{len(bits)} seconds for {row['issued']} tokens: {row}")
        expect(bool(bits) == (row["issued"] > 0), f"{len(bits)} seconds for {row['issued']} tokens: {row}")
        if bits:
            start = row["window_start"].timestamp()
            key = tuple(row[name] for name in ["client_id", "audience", "organization_id", "scope", "ip"])
            times = found.setdefault(key, set())
            for bit in bits:
                times.add(common_time(start + bit))
            expect(common_time(row["first_at"].timestamp()) in times, f"the second of first_at is not set: {row}")
            expect(common_time(row["last_at"].timestamp()) in times, f"the second of last_at is not set: {row}")
    expect_equal(found, expected, "seconds in which tokens were issued")
    print(f"issued_seconds: {sum(len(times) for times in found.values())} seconds of {len(found)} callers")


def common_time(seconds):
    return datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


def check_dead_letters(out, truth, others):
    letters = rows_of(out, "dead_letters")
    expect(truth["malformed"] > 0, "the simulation has nothing malformed")
    expect_equal(sorted(row["raw"] for row in letters), sorted(others), "dead letters, byte for byte")
    expect_equal(len(letters), truth["malformed"], "dead letters")
    expect(all(row["reason"] for row in letters), "a dead letter without a reason")
    print(f"dead_letters: {len(letters)} records")


def check(out, truth, events_path):
    events, others = common.events_of(events_path)
    expect_equal(len(events), truth["distinct_events"], "distinct events in the file")
    check_counts(out, truth)
    rows = check_tokens(out, truth)
    check_seconds(rows, events)
    check_dead_letters(out, truth, others)


common.run(check)
