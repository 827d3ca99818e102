"""The commands of ``rnndiff``, one module each, imported only when called."""
