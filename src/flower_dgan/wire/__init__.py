"""The protocol: every record name, key, type and size that may cross between server and nodes.

Both sides read messages through the ``from_records`` functions. A record or a key that is not on the list, an array of
another type or shape than announced, or a value that is not finite raises :class:`ProtocolError`; nothing of such a
message is used. No pickle is involved, and sizes are checked before memory is taken. Arrays of 8-bit numbers travel
deflated.
"""
