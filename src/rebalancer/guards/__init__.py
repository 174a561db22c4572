"""What may hold an execution: one file per kind, each answering with a reason in words."""
