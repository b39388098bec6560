"""Apache's own Python sketches read ghostlight's, agree with its estimates, and share its hash of a user id."""

import math

from datasketches import hll_sketch

import common
from common import LG_K, estimate_of, expect, expect_equal, rows_of, union_of, users_of

STANDARD_ERROR = 1.04 / math.sqrt(1 << LG_K)


def near(found, expected, what):
    # Three standard errors; a small set is held user by user, so one off is already wrong by more than chance.
    allowed = 3 * STANDARD_ERROR * expected
    expect(abs(found - expected) <= max(allowed, 0.5), f"{what}: {found:.1f}, true are {expected} (allowed {allowed:.1f})")


def expect_same(sketches, users, what):
    """A sketch made in Python of the same ids is the same, and adds nothing: another hash would double the union."""
    ours, theirs = union_of(sketches), hll_sketch(LG_K)
    for user in users:
        theirs.update(user)
    common.expect_same_registers({"ours": ours, "Python's": theirs, "both": union_of([ours, theirs])}, what)


def check(out, truth, events_path):
    rows = rows_of(out, "active_users")
    modes = set()
    by_key, by_day = {}, {}
    for row in rows:
        sketch = hll_sketch.deserialize(row["users_hll"])
        where = f"{row['window_start']} {row['tenant']} {row['dimension']} {row['key']!r}"
        expect_equal(sketch.lg_config_k, LG_K, f"lg_k of {where}")
        modes.add(row["users_hll"][7] & 3)
        estimate = estimate_of([sketch])
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

    users, days = {}, users_of(events_path)
    for (tenant, _), of_day in days.items():
        users.setdefault(tenant, set()).update(of_day)
    expect_equal(set(users), set(truth["users"]), "tenants with users")

    for (tenant, day), of_day in days.items():
        expect_same(by_day[tenant, day], of_day, f"users of {tenant} on {day}")
    checked = 0
    for tenant, true in truth["users"].items():
        expect_equal(len(users[tenant]), true["month"], f"users in {tenant}'s events")
        whole = by_key[tenant, "tenant", ""]
        near(estimate_of(whole), true["month"], f"users of {tenant}")
        expect_same(whole, users[tenant], f"users of {tenant}")

        for dimension in ["organization", "connection", "client"]:
            for key, number in true[f"by_{dimension}"].items():
                expect((tenant, dimension, key) in by_key, f"no row of {dimension} {key} of {tenant}")
                near(estimate_of(by_key[tenant, dimension, key]), number, f"users of {dimension} {key} of {tenant}")
                checked += 1
        for day, number in true["by_day"].items():
            near(estimate_of(by_day[tenant, day]), number, f"users of {tenant} on {day}")
            checked += 1
    print(f"{len(rows)} sketches read; {checked} unions are the true number of users")


common.run(check)
