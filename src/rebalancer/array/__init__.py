"""Which disks there are, and which of them may be touched."""
