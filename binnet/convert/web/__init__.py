"""Export of a packed model as one HTML page that classifies images offline."""
