"""What others would build for the same work, and the raw limits: written the usual way, to be measured beside us."""
