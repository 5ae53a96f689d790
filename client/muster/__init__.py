"""The administrator's client of musterd: standard library only, quick to start."""
