"""All input and output: one port a file, named after what it reaches."""

import sys

# botocore loads both wherever a distribution happens to have them installed (pcs needs the second):
# 15 MiB at rest, for a signing method that is never chosen and for a TLS layer that it only asks
# whether it is in use. `None` makes their import fail, which botocore is prepared for.
for name in ("awscrt", "OpenSSL"):
    sys.modules.setdefault(name, None)  # type: ignore[arg-type]
