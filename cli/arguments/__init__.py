"""What a person types, and what it stands for: keys, filters, moments, and options that commands share."""
