"""What the standards ask of this server, row by row, and the tests that answer."""
