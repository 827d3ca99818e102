"""Whether it is so on real data: training, and the comparison of what was trained."""
