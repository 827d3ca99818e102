"""Who is right: expectations, verdicts, what is excused, and what it all adds up to."""
