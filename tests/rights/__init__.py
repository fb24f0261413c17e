"""Who may do what: one table, which is also the page docs/who-may-what.md, and the tests that hold it."""
