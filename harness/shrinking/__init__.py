"""How small a case can be that still fails."""
