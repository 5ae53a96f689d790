"""The on-node daemon: finds its peers, agrees with them, founds and keeps one cluster."""
