"""The picture from boot to formed, over all nodes: text for a terminal, SVG for a browser."""
