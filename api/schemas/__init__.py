"""The shapes of bodies and answers as they go over the wire, by the kind of thing. No rule and no SQL is here."""
