"""People by single sign-on: what an identity provider says of itself, its keys, its tokens, and what its groups may do.

Off unless PREDICTQ_OIDC_ISSUER is set. What the sign-in of the screens needs besides, the code flow, starts at
`Discovery`, whose document names the provider's addresses, and ends at `People`, which checks the token that came.
"""
