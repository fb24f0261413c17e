"""Jobs: acceptance, plans, deadlines, exports, ends."""
