"""The same social graph in several hands; `benchmarks/graph.py` measures them side by side."""
