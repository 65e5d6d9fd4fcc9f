"""What an option of a training is: its type, its default and help, and the recipes that set many at once."""
