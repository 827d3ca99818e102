"""What one environment computes, bit for bit, in a file, and the comparison of such files."""
