"""What leaves the program is sent from here: one worker, and a sender for each channel."""
