"""Builds what is installed on a node: one staged tree, packed as a .deb or an .rpm."""
