"""The two doors: control sockets for people on this node, the peer port for other nodes."""
