"""Workers: claims, scoring, delivery, faults."""
