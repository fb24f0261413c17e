"""People by single sign-on: what an identity provider says of itself, its keys, its tokens, and what its groups may do.

Off unless PREDICTQ_OIDC_ISSUER is set. Programs bring tokens (`people`). Where PREDICTQ_OIDC_CLIENT_ID is set, too,
people sign in to the screens (`code_flow`).
"""
