"""The events of a run: what they are, one writer, one reader; server, report, trackers and page share them."""
