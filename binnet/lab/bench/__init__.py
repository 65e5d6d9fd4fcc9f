"""How fast binnet is, and against what: the measurements behind ``binnet bench`` (docs/adr/0012-measuring.md)."""
