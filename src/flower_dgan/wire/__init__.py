"""What crosses the wire: every record, key, type and size, and how it is read from a peer that may be hostile."""
