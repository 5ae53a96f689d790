"""A fake AWS region whose instance states are the lab's machines."""

from .credentials import ADMIN_KEY, ADMIN_SECRET
from .errors import AwsError
from .estate import Launch
from .faults import Fault
from .model import DEFAULT_TYPE, IMAGES, Instance, Layout, MetadataOptions, State, Timing
from .policy import Policy, PolicyError
from .region import Region
from .tls import ensure_ca

__all__ = [
    "ADMIN_KEY",
    "ADMIN_SECRET",
    "DEFAULT_TYPE",
    "IMAGES",
    "AwsError",
    "Fault",
    "Instance",
    "Launch",
    "Layout",
    "MetadataOptions",
    "Policy",
    "PolicyError",
    "Region",
    "State",
    "Timing",
    "ensure_ca",
]
