"""What the stored answers take on the disk, how it grows, and whether the upkeep of it is going on. Reads only."""
