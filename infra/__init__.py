"""What the process runs on."""
