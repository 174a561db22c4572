"""The interface for programs: JSON under /api/v1, from the functions that the pages and the command line call."""
