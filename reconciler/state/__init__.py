"""Where the journal and its fold, the snapshot, live."""
