"""What only the sandbox and the tests have: an embedded database, seed data, a supervisor for the processes."""
