"""The algorithms, one file each: settings, the half at the server and the half at the clients."""
