"""The request level: engines that decide as real ones do, with memory, time and load."""
