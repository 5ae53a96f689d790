"""What muster costs, measured in the lab: founding beside a bare script, and the daemon at rest."""
