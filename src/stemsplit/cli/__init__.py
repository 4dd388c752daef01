"""The command line: everything that touches a terminal."""
