"""Copies everything under a prefix of a bucket into a folder.

Usage: s3_copy.py ENDPOINT BUCKET PREFIX FOLDER
"""

import sys
from pathlib import Path

import boto3

endpoint, bucket, prefix, folder = sys.argv[1:]
client = boto3.client(
    "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
)
objects = 0
for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/"):
    for found in page.get("Contents", []):
        path = Path(folder) / found["Key"].removeprefix(f"{prefix}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(bucket, found["Key"], str(path))
        objects += 1
print(f"{objects} objects")
if objects == 0:
    sys.exit(f"nothing is under {prefix}/")
