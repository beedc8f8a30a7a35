"""Creates the bucket named as the argument, unless it is there; the S3 server is AWS_ENDPOINT_URL_S3."""

import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

client = boto3.client("s3", config=Config(s3={"addressing_style": "path"}))
try:
    client.head_bucket(Bucket=sys.argv[1])
except ClientError as error:
    if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
        raise
    client.create_bucket(Bucket=sys.argv[1])
