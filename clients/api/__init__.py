"""The partner portal as JSON: what its pages do, for programs of the same people."""
