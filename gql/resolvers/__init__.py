"""What each root field does."""
