"""What a run is made on: data, models, programs, and the machine. Nothing is timed here."""
