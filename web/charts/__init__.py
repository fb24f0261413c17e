"""Charts as SVG, drawn here: figures in, markup out. No script, no inline style."""
