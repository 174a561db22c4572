"""What an Unraid server says of itself in its files, below a configurable root; nothing here writes."""
