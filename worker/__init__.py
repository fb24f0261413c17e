"""The scoring process: claim a batch, read its features, predict once, commit the answers."""
