"""Many random cases, in many processes."""
