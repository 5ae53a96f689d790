"""`muster image`: from a disk file to running instances. For a workstation or CI; needs boto3."""
