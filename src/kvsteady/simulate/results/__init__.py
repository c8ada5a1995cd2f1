"""What comes of a run: records as tables, and numbers."""
