-- People at the screens: who is signed in, and links that sign somebody in once.

CREATE TABLE predictq.sessions (
    token_hash text PRIMARY KEY CHECK (token_hash ~ '^[0-9a-f]{64}$'),
    api_key_id integer NOT NULL REFERENCES predictq.api_keys,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE predictq.sessions IS
    'Browsers that are signed in. A session may what its API key may, and ends with it. The cookie itself is not stored.';

CREATE TABLE predictq.sign_in_links (
    token_hash text PRIMARY KEY CHECK (token_hash ~ '^[0-9a-f]{64}$'),
    api_key_id integer NOT NULL REFERENCES predictq.api_keys,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE predictq.sign_in_links IS 'Links that sign a person in, each once. Following one removes it.';
