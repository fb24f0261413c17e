"""One module per screen: it asks the API and shows a template. No SQL, no rights, no markup."""
