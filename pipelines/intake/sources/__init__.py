"""Brings deliveries from where they were sent to into the deliveries folder."""
