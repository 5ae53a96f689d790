"""All input and output: one port a file, named after what it reaches."""

import sys

# botocore loads awscrt wherever a distribution happens to have it installed: 4 MiB at rest, for
# checksums of S3 that nothing here needs. None makes its import fail, which botocore expects.
sys.modules.setdefault("awscrt", None)  # type: ignore[arg-type]
