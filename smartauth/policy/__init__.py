"""Pure policy: what may be granted. No I/O, no clock, no framework."""
