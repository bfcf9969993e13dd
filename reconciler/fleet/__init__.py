"""The whole inventory against the whole state, part by part: what did not move is not read, and nobody holds it all."""
