"""The one loop: its budget, its checkpoint, and what it leaves behind."""
