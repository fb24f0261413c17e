"""Graphs in ONNX: asked as estimators, and what their own bytes say of their classes."""
