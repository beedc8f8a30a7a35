"""The report of an evolution: its history as a record, as one HTML page, and as a table for a terminal."""
