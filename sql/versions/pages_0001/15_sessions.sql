-- People at the screens: who is signed in, and links that sign somebody in once.

CREATE TABLE predictq.sessions (
    token_hash text PRIMARY KEY CHECK (token_hash ~ '^[0-9a-f]{64}$'),
    api_key_id integer REFERENCES predictq.api_keys,
    issuer text,
    subject text,
    groups text[],
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CHECK (num_nonnulls(issuer, subject, groups) = CASE WHEN api_key_id IS NULL THEN 3 ELSE 0 END)
);
COMMENT ON TABLE predictq.sessions IS
    'Browsers that are signed in. A session may what its API key may, and ends with it. The cookie itself is not stored.';
COMMENT ON COLUMN predictq.sessions.subject IS
    'Who signed in by an identity provider (its issuer), as that names them. What they may follows from the groups.';

CREATE TABLE predictq.sign_in_links (
    token_hash text PRIMARY KEY CHECK (token_hash ~ '^[0-9a-f]{64}$'),
    api_key_id integer NOT NULL REFERENCES predictq.api_keys,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE predictq.sign_in_links IS 'Links that sign a person in, each once. Following one removes it.';
