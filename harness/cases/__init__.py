"""What is tried: cases, the numbers in them, and how they are drawn."""
