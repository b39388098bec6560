"""Apache's own Python sketches read ghostlight's, agree with its estimates, and share its hash of a user id."""

import math

from datasketches import hll_sketch, hll_union

import common
from common import expect, expect_equal, rows_of

# Event types that make a user active, as Auth0's staff published them.
PUBLISHED = {"s", "sepft", "ssa", "seoobft", "seotpft", "sercft", "sertft", "seacft", "scoa", "sens"}
LG_K = 12
STANDARD_ERROR = 1.04 / math.sqrt(1 << LG_K)


def union_of(sketches):
    union = hll_union(LG_K)
    for sketch in sketches:
        union.update(sketch)
    return union


def estimate_of(*sketches):
    """The estimate that does not depend on the order the users came in: a union's of more than one sketch."""
    return union_of([*sketches, sketches[0]]).get_estimate()


def near(found, expected, what):
    # Three standard errors; a small set is held user by user, so one off is already wrong by more than chance.
    allowed = 3 * STANDARD_ERROR * expected
    expect(abs(found - expected) <= max(allowed, 0.5), f"{what}: {found:.1f}, true are {expected} (allowed {allowed:.1f})")


def check(out, truth, events_path):
    rows = rows_of(out, "active_users")
    modes = set()
    by_key, by_day = {}, {}
    for row in rows:
        sketch = hll_sketch.deserialize(row["users_hll"])
        where = f"{row['window_start']} {row['tenant']} {row['dimension']} {row['key']!r}"
        expect_equal(sketch.lg_config_k, LG_K, f"lg_k of {where}")
        modes.add(row["users_hll"][7] & 3)
        estimate = estimate_of(sketch)
        expect(
            row["users_lower"] <= estimate <= row["users_upper"],
            f"{where}: Python's {estimate} is not within {row['users_lower']} to {row['users_upper']}",
        )
        difference = abs(estimate - row["users_estimate"])
        expect(difference <= 1e-6 * estimate, f"{where}: Python's {estimate}, written was {row['users_estimate']}")
        by_key.setdefault((row["tenant"], row["dimension"], row["key"]), []).append(sketch)
        if row["dimension"] == "tenant":
            by_day.setdefault((row["tenant"], row["window_start"].date().isoformat()), []).append(sketch)
    expect(2 in modes and len(modes) > 1, f"both small and full sketches were to be read, found the modes {modes}")

    users = {}
    for event in common.events_of(events_path)[0]:
        if event["type"] in PUBLISHED and event.get("user_id"):
            users.setdefault(event["tenant_name"], set()).add(event["user_id"])
    expect_equal(set(users), set(truth["users"]), "tenants with users")

    checked = 0
    for tenant, true in truth["users"].items():
        expect_equal(len(users[tenant]), true["month"], f"users in {tenant}'s events")
        ours = union_of(by_key[tenant, "tenant", ""]).get_result()
        estimate = estimate_of(ours)
        near(estimate, true["month"], f"users of {tenant}")

        # Made in Python of the same ids: another hash would double the union.
        theirs = hll_sketch(LG_K)
        for user in users[tenant]:
            theirs.update(user)
        both = estimate_of(ours, theirs)
        growth = abs(both / estimate - 1)
        expect(growth <= 0.005, f"users of {tenant}: ours {estimate:.1f}, with Python's sketch {both:.1f}")

        for dimension in ["organization", "connection", "client"]:
            for key, number in true[f"by_{dimension}"].items():
                expect((tenant, dimension, key) in by_key, f"no row of {dimension} {key} of {tenant}")
                near(estimate_of(*by_key[tenant, dimension, key]), number, f"users of {dimension} {key} of {tenant}")
                checked += 1
        for day, number in true["by_day"].items():
            near(estimate_of(*by_day[tenant, day]), number, f"users of {tenant} on {day}")
            checked += 1
    print(f"{len(rows)} sketches read; {checked} unions are the true number of users")


common.run(check)
