"""Everything people see in a terminal: tables, plain lines, and the live view of a run."""
