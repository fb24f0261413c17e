"""How a person gets into the screens: with a key, by a link, or by an identity provider."""
