"""Pure policy: what a grant reaches. No I/O, no clock, no framework."""
