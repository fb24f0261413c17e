"""Who is signed in: cookies, tokens of forms, host names. What is stored of it is in `shared.access.sign_in`."""
