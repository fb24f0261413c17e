"""How the service stands: what workers say of themselves, samples of the last hours, and what needs a person."""
