"""The gate: is a run as good as the one that was kept as baseline?"""
