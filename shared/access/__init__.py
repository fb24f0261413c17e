"""Who a caller is: API keys, and people's sessions. What they may do is settled in the gateway.

And files that are for their owner alone.
"""
