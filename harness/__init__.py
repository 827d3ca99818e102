"""How two computations of the same network are compared."""
