"""What the gateway and the worker both know: settings, tables, jobs, queue, errors, logging."""
