"""How the owner is told: Unraid's notifications, Apprise services, pings; what fails here never fails a run."""
