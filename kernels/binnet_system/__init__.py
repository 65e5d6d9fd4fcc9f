"""All that differs between Linux, macOS and Windows, on the standard library alone (docs/adr/0040-platforms.md).

Each file looks up what the system has when it is imported, under a name that a test can take away, and holds what is
done without it. The three other packages import this one; it imports none of them.
"""
