"""Parts of the settings, and variables that are none."""
