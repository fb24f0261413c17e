"""Commands about models: training, registering, comparing, sealing."""
