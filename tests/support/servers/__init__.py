"""Real servers for the tests and benchmarks: each starts on free loopback ports, and ends when its test run does."""
