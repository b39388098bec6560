"""Sketches as Python's datasketches makes them: of four, six and eight bits, compact and not, as a list, a set and an array.

Prints JSON: a list of [what, bytes as hexadecimal digits, users, their estimate].
"""

import json

from datasketches import hll_sketch, tgt_hll_type

from common import LG_K, estimate_of

KINDS = [tgt_hll_type.HLL_4, tgt_hll_type.HLL_6, tgt_hll_type.HLL_8]
made = []
for users in [0, 5, 200, 5_000]:
    for kind in KINDS:
        sketch = hll_sketch(LG_K, kind)
        for user in range(users):
            sketch.update(f"auth0|{user}")
        estimate = round(estimate_of([sketch]))
        for how, written in [("compact", sketch.serialize_compact()), ("updatable", sketch.serialize_updatable())]:
            made.append([f"{kind} of {users} users, {how}", written.hex(), users, estimate])
print(json.dumps(made))
