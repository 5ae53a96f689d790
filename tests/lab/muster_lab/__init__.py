"""The lab: real hosts in containers around a fake AWS region."""
