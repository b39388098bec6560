"""Writes an object twice, only if absent: the first must succeed, the second be refused and change nothing.

Usage: s3_absent.py ENDPOINT BUCKET
"""

import sys

import boto3
from botocore.exceptions import ClientError

endpoint, bucket = sys.argv[1:]
client = boto3.client(
    "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
)
client.put_object(Bucket=bucket, Key="absent", Body=b"first", IfNoneMatch="*")
try:
    client.put_object(Bucket=bucket, Key="absent", Body=b"second", IfNoneMatch="*")
except ClientError as error:
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    if status != 412:
        sys.exit(f"the second write was answered {status}, not 412: {error}")
else:
    sys.exit("the second write succeeded")
if client.get_object(Bucket=bucket, Key="absent")["Body"].read() != b"first":
    sys.exit("the second write changed the object")
print("put-if-absent is honoured")
