"""Files that a survey contractor sent -> frames of text, exactly as sent."""
