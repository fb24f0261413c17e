"""What all screens share: routes, the page around them, calls of the API, refusals. No screen of its own."""
