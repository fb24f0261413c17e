"""The audit log: written in the transaction of an act, read and exported, never changed."""
