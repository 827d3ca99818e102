"""Whether the tester is good: planted mistakes, speed, the accuracy of functions."""
