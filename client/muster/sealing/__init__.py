"""`muster seal`: what a node must forget before its disk becomes an image."""
