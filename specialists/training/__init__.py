"""The one loop: how long, what is kept of it when it is killed, and what it leaves behind."""
