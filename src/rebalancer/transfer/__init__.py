"""The worker: the only room that touches users' files."""
