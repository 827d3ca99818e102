"""Cases by the thousand: run, judged, counted, shrunk and saved, in one process or many."""
