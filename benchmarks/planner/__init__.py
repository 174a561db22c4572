"""What the planner is held against: arrays from seeds, rivals' rules, exact optima, and a checker of its own."""
