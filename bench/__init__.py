"""Speed, measured side by side: predictq, its peers and the raw limits, in one run on one machine."""
