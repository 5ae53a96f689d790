"""Stands in for python3-systemd, which Red Hat does not build for Python 3.11.

The three calls that musterd makes, in plain Python after sd_listen_fds(3), sd_notify(3) and
systemd's "Native Journal Protocol". Installed by the .rpm alone, in muster's private folder.
"""
