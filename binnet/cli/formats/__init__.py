"""The commands that turn models into other forms, and models of other tools into packed ones."""
