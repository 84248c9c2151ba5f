"""What the report notebooks say: their sections, tables and findings, from runs and records."""
